"""What the publisher sends to subscribers, observers, console and log, and what it counts."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from audio.events import Event as RecognitionEvent
from audio.events import (
    NoSpeech,
    Partial,
    Paused,
    Resumed,
    Seed,
    Triggered,
    TriggerSuspected,
    VoiceCommand,
)
from audio.pcm import AudioChunk
from config.errors import SpeechError
from daemon.control.protocol import event_line
from daemon.control.subscriber import QUEUE_EVENTS, Event, Subscriber
from daemon.conversation.publisher import MUTED, OPEN, SILENT, EventPublisher
from daemon.conversation.state_machine import Ended, Phase, Sentence
from daemon.observers.console import Console
from daemon.timings import TurnTimings
from tests.daemon.fakes import QUIET, Screen

TIMINGS = TurnTimings(-0.48, -0.12, -0.1, 0.06, 2.31, True)
TIMED = {
    "weights": "large",
    "last_voice_seconds": -0.48,
    "first_token_seconds": -0.12,
    "first_sentence_seconds": -0.1,
    "first_sound_seconds": 0.06,
    "seconds": 2.31,
    "prepared": True,
}
NO_DEVICE = "No microphone was found."
NO_SERVER = "No sound server answers."
CHUNK = AudioChunk(QUIET, 16_000, 0.08)

Act = Callable[[EventPublisher], None]


class Notes:
    """An observer that remembers all calls in their order."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def on_event(self, event: Mapping[str, object]) -> None:
        self.calls.append(event["event"])

    def on_audio(self, chunk: AudioChunk) -> None:
        self.calls.append(chunk)

    def on_tick(self) -> None:
        self.calls.append("tick")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def publisher() -> EventPublisher:
    return EventPublisher()


@pytest.fixture
def subscriber(publisher: EventPublisher) -> Subscriber:
    return subscribed(publisher)


def subscribed(publisher: EventPublisher, *, wants_levels: bool = False) -> Subscriber:
    subscriber = Subscriber(wants_levels)
    publisher.add_subscriber(subscriber)
    return subscriber


def received(subscriber: Subscriber) -> list[Event]:
    """All events that wait, without their times, which must be now."""
    events: list[Event] = []
    while (event := subscriber.next(0)) is not None:
        assert event_line(event).endswith(b"}\n")  # JSON can carry it
        content: dict[str, Any] = dict(event)
        assert abs(content.pop("time") - time.time()) < 10
        events.append(content)
    return events


def reply(
    publisher: EventPublisher,
    turn: int,
    sentences: Sequence[str] = (),
    error: Exception | None = None,
) -> None:
    """A whole reply, its timings included."""
    ended = Ended(turn, error, TIMINGS, "large")
    publisher.on_reply_started(turn, "a fox")
    for text in sentences:
        publisher.on_sentence(Sentence(turn, text))
    publisher.on_reply_ended(ended)
    publisher.on_timings(ended)


@pytest.mark.parametrize(
    ("event", "published"),
    [
        (TriggerSuspected("hey computer"), []),
        (
            Triggered("hey computer", 1.2345),
            [{"event": "triggered", "phrase": "hey computer", "audio_seconds": 1.23}],
        ),
        (Partial("a fox"), [{"event": "partial", "text": "a fox"}]),
        (Paused("a fox"), []),
        (Seed("a fox", 2.0), []),  # it is published when its reply begins
        (Resumed(), [{"event": "resumed"}]),
        (NoSpeech("noise"), [{"event": "nothing", "reason": "noise"}]),
        (VoiceCommand("stop", "stop", False, 3.0), []),
    ],
)
def test_events_of_the_recognition(
    event: RecognitionEvent,
    published: list[Event],
    publisher: EventPublisher,
    subscriber: Subscriber,
) -> None:
    publisher.on_recognised(event)
    assert received(subscriber) == published
    assert publisher.triggers == isinstance(event, Triggered)


@pytest.mark.parametrize(
    ("act", "published"),
    [
        (
            lambda p: p.on_state(Phase.LISTENING, Phase.CAPTURING),
            {"event": "state", "state": "capturing"},
        ),
        (lambda p: p.on_reply_started(7, "狐狸"), {"event": "seed", "turn": 7, "text": "狐狸"}),
        (
            lambda p: p.on_sentence(Sentence(7, "It ran.")),
            {"event": "sentence", "turn": 7, "text": "It ran."},
        ),
        (lambda p: p.on_microphone("", OPEN), {"event": "microphone", "microphone": "open"}),
        (
            lambda p: p.on_microphone(OPEN, NO_DEVICE),
            {"event": "microphone", "microphone": NO_DEVICE},
        ),
        (lambda p: p.on_update("Changed: cues."), {"event": "renewed", "told": "Changed: cues."}),
        (lambda p: p.on_update_rejected("No."), {"event": "refused", "reason": "No."}),
    ],
)
def test_events_of_the_loop(
    act: Act, published: Event, publisher: EventPublisher, subscriber: Subscriber
) -> None:
    act(publisher)
    assert received(subscriber) == [published]


@pytest.mark.parametrize(
    ("sentences", "error", "outcome", "failures"),
    [
        (["One.", "Two."], None, "completed", 0),
        ([], None, "completed", 0),
        (["One."], SpeechError("broken"), "failed", 1),
    ],
)
def test_a_reply_from_its_seed_to_its_timings(
    sentences: list[str],
    error: Exception | None,
    outcome: str,
    failures: int,
    publisher: EventPublisher,
    subscriber: Subscriber,
) -> None:
    reply(publisher, 1, sentences, error)
    assert received(subscriber) == [
        {"event": "seed", "turn": 1, "text": "a fox"},
        *({"event": "sentence", "turn": 1, "text": text} for text in sentences),
        {"event": "ended", "turn": 1, "outcome": outcome},
        {"event": "timed", "turn": 1, **TIMED},
    ]
    last = {"number": 1, "sentences": len(sentences), "outcome": outcome, **TIMED}
    assert publisher.counts() == {
        "triggers": 0,
        "replies": 1,
        "failures": failures,
        "last_turn": last,
    }


def test_counters_begin_at_zero_and_add_up(publisher: EventPublisher) -> None:
    zero = {"triggers": 0, "replies": 0, "failures": 0, "last_turn": None}
    assert publisher.counts() == zero
    for turn in (1, 2, 3):
        publisher.on_recognised(Triggered("hey computer", 1.0))
        reply(publisher, turn, ["One."], SpeechError("broken") if turn == 2 else None)
    publisher.on_recognised(Triggered("hey computer", 2.0))
    counts = publisher.counts()
    assert (counts["triggers"], counts["replies"], counts["failures"]) == (4, 3, 1)
    last = counts["last_turn"]
    assert last is not None
    assert (last["number"], last["outcome"]) == (3, "completed")


def test_timings_of_a_cancelled_turn_that_come_late_are_its_own(
    publisher: EventPublisher, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publisher.on_reply_started(1, "a fox")
    publisher.on_sentence(Sentence(1, "One."))
    publisher.on_reply_cancelled()
    publisher.on_reply_started(2, "a crow")
    received(subscriber)
    publisher.on_timings(Ended(1, times=TIMINGS, weights="large"))
    publisher.on_timings(Ended(1, times=TurnTimings(seconds=9.0)))  # it has them already
    publisher.on_timings(Ended(3, times=TIMINGS))  # no such turn
    assert received(subscriber) == [{"event": "timed", "turn": 1, **TIMED}]
    logged = [message for message in caplog.messages if message.startswith("turn ")]
    assert len(logged) == 1
    assert logged[0].startswith(
        "turn 1 cancelled, 1 sentence by large, prepared; from the decision: last"
    )
    last = publisher.counts()["last_turn"]
    assert last is not None
    assert (last["number"], last["outcome"], last["seconds"]) == (2, "under way", None)


def test_a_sentence_that_plays_is_published_once_and_only_after_its_text(
    publisher: EventPublisher, subscriber: Subscriber
) -> None:
    publisher.on_playing(1, 1)  # before any reply
    publisher.on_reply_started(1, "a fox")
    publisher.on_playing(1, 1)  # the speech output still counts the reply before
    publisher.on_sentence(Sentence(1, "One."))
    for turn, number in ((1, 0), (2, 1), (1, 1), (1, 1), (1, 2)):
        publisher.on_playing(turn, number)
    publisher.on_sentence(Sentence(1, "Two."))
    publisher.on_playing(1, 2)
    assert [event for event in received(subscriber) if event["event"] == "sounding"] == [
        {"event": "sounding", "turn": 1, "number": 1},
        {"event": "sounding", "turn": 1, "number": 2},
    ]


def test_levels_are_for_subscribers_that_want_them() -> None:
    notes = Notes()
    publisher = EventPublisher(observers=[notes])
    plain, eager = subscribed(publisher), subscribed(publisher, wants_levels=True)
    publisher.on_audio(CHUNK)
    publisher.on_recognised(Resumed())
    # 20 log10(1 / 32768): each sample of the chunk is 1
    assert received(eager) == [{"event": "level", "db": -90.3}, {"event": "resumed"}]
    assert received(plain) == [{"event": "resumed"}]
    assert notes.calls == [CHUNK, "resumed"]


def test_observers_receive_events_audio_and_ticks_in_order() -> None:
    first, second, third = Notes(), Notes(), Notes()
    publisher = EventPublisher(observers=[first, second])
    publisher.on_recognised(Triggered("hey computer", 1.0))
    publisher.on_audio(CHUNK)
    publisher.on_tick()
    publisher.on_reply_started(1, "a fox")
    publisher.set_observers([third])
    publisher.on_reply_ended(Ended(1))
    publisher.on_audio(CHUNK)
    publisher.close()
    assert first.calls == second.calls == ["triggered", CHUNK, "tick", "seed", "close"]
    assert third.calls == ["ended", CHUNK, "close"]


def test_a_disconnected_subscriber_is_dropped(publisher: EventPublisher) -> None:
    left, slow, quick = (subscribed(publisher) for _ in range(3))
    left.disconnected = True
    published = 0
    for _ in range(QUEUE_EVENTS + 1):
        publisher.on_update("Changed: cues.")
        published += len(received(quick))
    assert slow.disconnected
    assert publisher._subscribers == [quick]
    assert published == QUEUE_EVENTS + 1
    publisher.on_update("Changed: cues.")
    assert len(received(slow)) == QUEUE_EVENTS
    quick.disconnected = True
    newest = subscribed(publisher)
    assert publisher._subscribers == [newest]


def test_the_console_shows_each_reply_on_its_line() -> None:
    screen = Screen()
    publisher = EventPublisher(Console(screen))
    reply(publisher, 1, ["It ran.", "It slept."])
    publisher.on_reply_started(2, "a crow")
    publisher.on_sentence(Sentence(2, "It flew."))
    publisher.on_reply_cancelled()
    publisher.on_reply_started(3, "a hen")
    publisher.on_sentence(Sentence(3, "It"))
    publisher.close()
    assert screen.getvalue() == (
        "You:       a fox\nAfterword: It ran. It slept.\n"
        "You:       a crow\nAfterword: It flew.\n"
        "You:       a hen\nAfterword: It\n"
    )


@pytest.mark.parametrize(
    ("states", "logged"),
    [
        ([OPEN], []),
        ([OPEN, MUTED, OPEN], []),
        ([NO_DEVICE], ["WARNING No microphone was found. Waiting for it."]),
        (
            [OPEN, NO_DEVICE, NO_SERVER, OPEN],
            [
                "WARNING No microphone was found. Waiting for it.",
                "DEBUG No sound server answers. Waiting for it.",
                "WARNING The microphone is there.",
            ],
        ),
        ([NO_DEVICE, MUTED, OPEN], ["WARNING No microphone was found. Waiting for it."]),
    ],
)
def test_a_missing_microphone_is_a_warning_and_another_reason_is_not(
    states: list[str],
    logged: list[str],
    publisher: EventPublisher,
    subscriber: Subscriber,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    report_microphone(publisher, states)
    assert [f"{record.levelname} {record.message}" for record in caplog.records] == logged
    assert [event["microphone"] for event in received(subscriber)] == states


def report_microphone(publisher: EventPublisher, states: Sequence[str]) -> None:
    for before, now in zip(["", *states], states, strict=False):
        publisher.on_microphone(before, now)


@pytest.mark.parametrize(
    ("states", "warnings"),
    [
        ([OPEN, SILENT], 1),
        ([OPEN, SILENT, OPEN, SILENT, OPEN, SILENT], 1),
        ([OPEN, SILENT, MUTED, OPEN, SILENT], 2),
        ([OPEN, SILENT, NO_DEVICE, OPEN, SILENT], 2),
    ],
)
def test_digital_silence_is_warned_of_once_until_the_microphone_was_closed(
    states: list[str],
    warnings: int,
    publisher: EventPublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    report_microphone(publisher, states)
    silence = [record for record in caplog.records if "digital silence" in record.message]
    assert [record.levelno for record in silence] == [logging.WARNING] * warnings


@pytest.mark.parametrize(
    ("act", "level", "message"),
    [
        (
            lambda p: p.on_recognised(Triggered("secret", 1.25)),
            logging.INFO,
            "trigger heard at 1.2 s",
        ),
        (
            lambda p: p.on_recognised(Seed("secret", 1.0)),
            logging.INFO,
            "seed of 6 characters heard",
        ),
        (
            lambda p: p.on_recognised(Resumed()),
            logging.INFO,
            "user resumed speaking; reply cancelled",
        ),
        (
            lambda p: p.on_recognised(NoSpeech("noise")),
            logging.INFO,
            "no speech after the trigger (noise)",
        ),
        (
            lambda p: p.on_recognised(VoiceCommand("go on", "secret", False, 2.0)),
            logging.INFO,
            '"go on" heard at 2.0 s',
        ),
        (lambda p: reply(p, 1), logging.WARNING, "The model had nothing to say to that."),
        (lambda p: reply(p, 1, [], SpeechError("It broke.")), logging.ERROR, "It broke."),
    ],
)
def test_log_levels(act: Act, level: int, message: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    act(EventPublisher())
    assert (level, message) in [(record.levelno, record.message) for record in caplog.records]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "act",
    [
        lambda p: p.on_recognised(Partial("secret")),
        lambda p: p.on_recognised(Paused("secret")),
        lambda p: p.on_recognised(TriggerSuspected("secret")),
        lambda p: p.on_recognised(Seed("secret", 1.0)),
        lambda p: p.on_sentence(Sentence(1, "secret")),
    ],
)
def test_words_are_logged_at_debug_level_only(
    act: Act, publisher: EventPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    act(publisher)
    levels = {record.levelno for record in caplog.records if "secret" in record.message}
    assert levels == {logging.DEBUG}


def test_a_seed_and_its_reply_leave_no_word_in_the_log(
    publisher: EventPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    publisher.on_reply_started(1, "a secret fox")
    publisher.on_sentence(Sentence(1, "Hidden."))
    publisher.on_reply_cancelled()
    publisher.on_timings(Ended(1, times=TIMINGS, weights="large"))
    assert "turn 1 cancelled" in caplog.text
    assert not {"secret", "Hidden"} & set(caplog.text.replace(".", " ").split())
