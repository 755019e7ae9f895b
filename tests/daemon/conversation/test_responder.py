"""Replies begun before they are wanted: adopted, or thrown away without a sound."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from audio.output import speech_output as speaking
from audio.output.loudspeaker import Loudspeaker
from audio.tts.engine import SpeechEngine
from config.errors import SpeechError
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import Ended, ReplyEvent, Sentence
from tests.daemon.fakes import Generator, SpeechOutput
from tests.support.sound_server import SoundServer

SECONDS = 10.0
Inbox = queue.Queue[ReplyEvent]


@pytest.fixture
def inbox() -> Inbox:
    return queue.Queue()


@pytest.fixture
def generator() -> Generator:
    return Generator()


@pytest.fixture
def speaker() -> SpeechOutput:
    return SpeechOutput()


@pytest.fixture
def replier(generator: Generator, speaker: SpeechOutput, inbox: Inbox) -> Iterator[Responder]:
    replier = Responder(generator, speaker, inbox.put)
    assert "responder" in [thread.name for thread in threading.enumerate()]
    yield replier
    replier.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "responder"]


def until_end(inbox: Inbox, turn: int) -> list[str]:
    """The sentences of a turn, which must be told before its end; no other turn may be told."""
    sentences = []
    while isinstance(event := inbox.get(timeout=SECONDS), Sentence):
        assert event.turn == turn
        sentences.append(event.text)
    assert (event.turn, event.error) == (turn, None)
    return sentences


def wait_for_seeds(generator: Generator, count: int) -> None:
    deadline = time.monotonic() + SECONDS
    while len(generator.seeds) < count and time.monotonic() < deadline:
        time.sleep(0.005)


def test_what_was_prepared_sounds_when_the_seed_is_the_same(
    replier: Responder, generator: Generator, speaker: SpeechOutput, inbox: Inbox
) -> None:
    replier.prepare("a fox")
    wait_for_seeds(generator, 1)
    time.sleep(0.05)
    assert (speaker.spoken, inbox.qsize()) == ([], 0)
    replier.start(1, "a fox")
    assert until_end(inbox, 1) == ["One.", "Two."]
    assert generator.seeds == ["a fox"]
    assert speaker.spoken == ["One.", "Two."]


def test_what_was_prepared_for_other_words_is_never_heard_of(
    replier: Responder, generator: Generator, speaker: SpeechOutput, inbox: Inbox
) -> None:
    replier.prepare("a")
    replier.prepare("a fox")
    wait_for_seeds(generator, 1)
    replier.start(1, "a fox ran")
    assert until_end(inbox, 1) == ["One.", "Two."]
    assert generator.seeds[-1] == "a fox ran"
    assert speaker.spoken == ["One.", "Two."]


def test_what_is_discarded_or_cancelled_makes_no_sound(
    replier: Responder, generator: Generator, speaker: SpeechOutput, inbox: Inbox
) -> None:
    replier.prepare("a fox")
    replier.discard()
    replier.prepare("a crow")
    replier.start(1, "a crow")
    replier.cancel()
    replier.start(2, "a hen")
    events = [inbox.get(timeout=SECONDS) for _ in range(2)]
    while not (isinstance(events[-1], Ended) and events[-1].turn == 2):
        events.append(inbox.get(timeout=SECONDS))
    assert {event.turn for event in events} == {1, 2}
    assert speaker.held, "what sounds must not go on until our thread has time"
    assert speaker.spoken[-2:] == ["One.", "Two."]


def test_a_fault_while_preparing_is_told_only_if_the_reply_is_wanted(
    generator: Generator, speaker: SpeechOutput, inbox: Inbox
) -> None:
    generator.error = SpeechError("broken")
    replier = Responder(generator, speaker, inbox.put)
    replier.prepare("a fox")
    replier.discard()
    replier.prepare("a fox")
    wait_for_seeds(generator, 1)
    replier.start(1, "a fox")
    events = []
    while not events or isinstance(events[-1], Sentence):
        events.append(inbox.get(timeout=SECONDS))
    replier.close()
    assert isinstance(events[-1], Ended)
    assert str(events[-1].error) == "broken"


def test_the_same_sentences_again_need_no_generator(
    replier: Responder, generator: Generator, speaker: SpeechOutput, inbox: Inbox
) -> None:
    replier.start(1, "a fox", sentences=("It ran.", "It slept."))
    assert until_end(inbox, 1) == ["It ran.", "It slept."]
    assert generator.seeds == []
    assert speaker.spoken == ["It ran.", "It slept."]


def test_times_are_in_order_and_what_was_prepared_came_before_the_decision(
    replier: Responder, generator: Generator, inbox: Inbox
) -> None:
    replier.prepare("a fox")
    wait_for_seeds(generator, 1)
    time.sleep(0.1)
    replier.start(1, "a fox", voice_at=time.monotonic() - 0.5)
    while isinstance(event := inbox.get(timeout=SECONDS), Sentence):
        pass
    assert isinstance(event, Ended)
    times = event.times
    assert times.prepared
    assert times.last_voice_seconds == pytest.approx(-0.5, abs=0.1)
    assert times.first_sentence_seconds < 0 <= times.first_sound_seconds <= times.seconds


def test_a_cue_waits_for_a_loudspeaker_that_was_away(
    replier: Responder, speaker: SpeechOutput
) -> None:
    speaker.away = True
    replier.cue("trigger")
    deadline = time.monotonic() + SECONDS
    while not speaker.cues and time.monotonic() < deadline:
        time.sleep(0.005)
    assert speaker.cues == ["trigger"]


def test_a_reply_that_is_cancelled_while_it_thinks_never_sounds(
    sound_server: SoundServer, inbox: Inbox
) -> None:
    thinking = threading.Event()

    class Slow(Generator):
        def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
            thinking.set()
            time.sleep(0.5)
            yield "It is too late to say this."

    speaker = speaking.SpeechOutput(SpeechEngine("en-us", 150, 0.9), Loudspeaker(), 0.0)
    replier = Responder(Slow(), speaker, inbox.put)
    try:
        with sound_server.recording() as loudspeaker:
            begin = time.monotonic()
            replier.start(1, "a fox")
            assert thinking.wait(SECONDS)
            replier.cancel()
            assert isinstance(inbox.get(timeout=SECONDS), Sentence)
            assert isinstance(inbox.get(timeout=SECONDS), Ended)
            time.sleep(0.3)
            assert len(loudspeaker.sounding(begin)) == 0
    finally:
        replier.close()
