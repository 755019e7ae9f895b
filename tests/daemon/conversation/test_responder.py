"""Replies, among them preemptive ones, which are confirmed or cancelled without a sound."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from audio.output import speech_output
from audio.output.loudspeaker import Loudspeaker
from audio.tts.engine import SpeechEngine
from config.errors import GenerationError, SpeechError
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
def speech() -> SpeechOutput:
    return SpeechOutput()


@pytest.fixture
def responder(generator: Generator, speech: SpeechOutput, inbox: Inbox) -> Iterator[Responder]:
    responder = Responder(generator, speech, inbox.put)
    assert "responder" in [thread.name for thread in threading.enumerate()]
    yield responder
    responder.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "responder"]


def until_end(inbox: Inbox, turn: int) -> list[str]:
    """The sentences of a turn, reported before its end; no other turn may be reported."""
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


def test_a_preemptive_reply_plays_when_its_seed_is_confirmed(
    responder: Responder, generator: Generator, speech: SpeechOutput, inbox: Inbox
) -> None:
    responder.prepare("a fox")
    wait_for_seeds(generator, 1)
    time.sleep(0.05)
    assert (speech.spoken, inbox.qsize()) == ([], 0)
    responder.start(1, "a fox")
    assert until_end(inbox, 1) == ["One.", "Two."]
    assert generator.seeds == ["a fox"]
    assert speech.spoken == ["One.", "Two."]


def test_a_preemptive_reply_to_another_seed_is_not_reported(
    responder: Responder, generator: Generator, speech: SpeechOutput, inbox: Inbox
) -> None:
    responder.prepare("a")
    responder.prepare("a fox")
    wait_for_seeds(generator, 1)
    responder.start(1, "a fox ran")
    assert until_end(inbox, 1) == ["One.", "Two."]
    assert generator.seeds[-1] == "a fox ran"
    assert speech.spoken == ["One.", "Two."]


def test_a_discarded_or_cancelled_reply_does_not_play(
    responder: Responder, generator: Generator, speech: SpeechOutput, inbox: Inbox
) -> None:
    responder.prepare("a fox")
    responder.discard()
    responder.prepare("a crow")
    responder.start(1, "a crow")
    responder.cancel()
    responder.start(2, "a hen")
    events = [inbox.get(timeout=SECONDS) for _ in range(2)]
    while not (isinstance(events[-1], Ended) and events[-1].turn == 2):
        events.append(inbox.get(timeout=SECONDS))
    assert {event.turn for event in events} == {1, 2}
    assert speech.held, "playback must pause before the responder's thread has time"
    assert speech.spoken[-2:] == ["One.", "Two."]


def test_an_error_of_a_preemptive_reply_is_reported_only_if_it_is_confirmed(
    generator: Generator, speech: SpeechOutput, inbox: Inbox
) -> None:
    generator.error = SpeechError("broken")
    responder = Responder(generator, speech, inbox.put)
    responder.prepare("a fox")
    responder.discard()
    responder.prepare("a fox")
    wait_for_seeds(generator, 1)
    responder.start(1, "a fox")
    events = []
    while not events or isinstance(events[-1], Sentence):
        events.append(inbox.get(timeout=SECONDS))
    responder.close()
    assert isinstance(events[-1], Ended)
    assert str(events[-1].error) == "broken"


def test_repeated_sentences_need_no_generator(
    responder: Responder, generator: Generator, speech: SpeechOutput, inbox: Inbox
) -> None:
    responder.start(1, "a fox", sentences=("It ran.", "It slept."))
    assert until_end(inbox, 1) == ["It ran.", "It slept."]
    assert generator.seeds == []
    assert speech.spoken == ["It ran.", "It slept."]


def test_timings_of_a_preemptive_reply_begin_before_the_end_of_turn(
    responder: Responder, generator: Generator, inbox: Inbox
) -> None:
    responder.prepare("a fox")
    wait_for_seeds(generator, 1)
    time.sleep(0.1)
    responder.start(1, "a fox", voice_at=time.monotonic() - 0.5)
    while isinstance(event := inbox.get(timeout=SECONDS), Sentence):
        pass
    assert isinstance(event, Ended)
    times = event.times
    assert times.prepared
    assert times.last_voice_seconds == pytest.approx(-0.5, abs=0.1)
    assert times.first_sentence_seconds < 0 <= times.first_sound_seconds <= times.seconds


def test_a_cue_waits_until_a_lost_loudspeaker_is_open_again(
    responder: Responder, speech: SpeechOutput
) -> None:
    speech.away = True
    responder.cue("trigger")
    deadline = time.monotonic() + SECONDS
    while not speech.cues and time.monotonic() < deadline:
        time.sleep(0.005)
    assert speech.cues == ["trigger"]


def test_a_reply_cancelled_during_generation_does_not_play(
    sound_server: SoundServer, inbox: Inbox
) -> None:
    thinking = threading.Event()

    class Slow(Generator):
        def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
            thinking.set()
            time.sleep(0.5)
            yield "It is too late to say this."

    speech = speech_output.SpeechOutput(SpeechEngine("en-us", 150, 0.9), Loudspeaker(), 0.0)
    responder = Responder(Slow(), speech, inbox.put)
    try:
        with sound_server.recording() as loudspeaker:
            begin = time.monotonic()
            responder.start(1, "a fox")
            assert thinking.wait(SECONDS)
            responder.cancel()
            assert isinstance(inbox.get(timeout=SECONDS), Sentence)
            assert isinstance(inbox.get(timeout=SECONDS), Ended)
            time.sleep(0.3)
            assert len(loudspeaker.sounding(begin)) == 0
    finally:
        responder.close()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Reader(Generator):
    """A generator whose reading lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def read_ahead(self, seed: str) -> None:
        super().read_ahead(seed)
        assert self.go_on.wait(SECONDS)
        if seed == "fail":
            raise GenerationError("no")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr("daemon.conversation.responder.READ_SECONDS", 0.0)
    return Reader()


def test_words_are_read_one_reading_at_a_time(reader: Reader, inbox: Inbox) -> None:
    with contextlib.closing(Responder(reader, SpeechOutput(), inbox.put)) as responder:
        responder.read_ahead("a")
        wait_until(lambda: reader.read == ["a"])
        responder.read_ahead("a fox")  # while the first is being read
        reader.go_on.set()
        wait_until(lambda: responder._reading.done)
        responder.read_ahead("a fox ran")
        wait_until(lambda: len(reader.read) == 2)
        assert reader.read == ["a", "a fox ran"]


def test_words_that_change_too_soon_are_not_read(generator: Generator, inbox: Inbox) -> None:
    with contextlib.closing(Responder(generator, SpeechOutput(), inbox.put)) as responder:
        responder.read_ahead("a")
        wait_until(lambda: responder._reading.done)
        responder.read_ahead("a fox")
        time.sleep(0.05)
        assert generator.read == ["a"]


def test_words_are_not_read_once_a_reply_is_begun(reader: Reader, inbox: Inbox) -> None:
    speech = SpeechOutput()
    with contextlib.closing(Responder(reader, speech, inbox.put)) as responder:
        responder.prepare("a fox")
        wait_for_seeds(reader, 1)
        responder.read_ahead("a fox ran")  # cancels the reply to "a fox", and waits for its end
        responder.start(1, "a fox ran")
        assert until_end(inbox, 1) == ["One.", "Two."]
        reader.go_on.set()
        assert reader.seeds == ["a fox", "a fox ran"]
        assert set(reader.read) <= {"a fox ran"}
        assert speech.spoken[-2:] == ["One.", "Two."]


def test_a_preemptive_reply_ends_when_its_speaker_goes_on(reader: Reader, inbox: Inbox) -> None:
    reader.go_on.set()
    with contextlib.closing(Responder(reader, SpeechOutput(), inbox.put)) as responder:
        responder.prepare("a fox")
        wait_for_seeds(reader, 1)
        responder.read_ahead("a fox ran")
        wait_until(lambda: reader.read == ["a fox ran"])  # the thread is free again
        responder.prepare("a fox ran")
        responder.read_ahead("a fox ran")  # the same words: the reply is still wanted
        responder.start(1, "a fox ran")
        assert until_end(inbox, 1) == ["One.", "Two."]
        assert reader.seeds == ["a fox", "a fox ran"]


def test_words_that_waited_behind_a_reply_are_not_read(reader: Reader, inbox: Inbox) -> None:
    reader.go_on.set()
    with contextlib.closing(Responder(reader, SpeechOutput(), inbox.put)) as responder:
        responder.prepare("a fox")
        responder.read_ahead("a fox")  # waits for the reply's end
        responder.start(1, "a fox")
        assert until_end(inbox, 1) == ["One.", "Two."]
        wait_until(lambda: responder._reading.done)
        assert reader.read == []


def test_a_failure_to_read_ahead_is_left_to_the_reply(reader: Reader, inbox: Inbox) -> None:
    reader.go_on.set()
    with contextlib.closing(Responder(reader, SpeechOutput(), inbox.put)) as responder:
        responder.read_ahead("fail")
        wait_until(lambda: reader.read == ["fail"] and responder._reading.done)
        responder.start(1, "a fox")
        assert until_end(inbox, 1) == ["One.", "Two."]


def test_a_reply_tells_which_weights_gave_it(
    responder: Responder, generator: Generator, inbox: Inbox
) -> None:
    generator.name = "large"
    ends = []
    for turn, sentences in ((1, ()), (2, ("Again.",))):
        responder.start(turn, "a fox", sentences=sentences)
        while isinstance(event := inbox.get(timeout=SECONDS), Sentence):
            pass
        ends.append(event.weights)
    assert ends == ["large", ""]
