"""A fault of an observer, or of the console, ends neither the loop nor the other observers."""

import logging
from collections.abc import Iterable, Mapping

import pytest

from audio.events import Event, Seed, Triggered
from audio.pcm import AudioChunk
from daemon.control.protocol import Request
from daemon.control.subscriber import Subscriber
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.observers.console import Console
from tests.daemon.fakes import Generator, Recognition, Screen, Source, SpeechOutput
from tests.daemon.loop.running import ask, running, wait_until

WORDS = "words of the conversation"
EXCHANGE: list[Event] = [Triggered("hey computer", 0.1), Seed("a fox", 0.2)]
TWO_EXCHANGES = {2: EXCHANGE, 30: EXCHANGE}


class Faulty:
    """An observer that fails in one of its methods, and remembers whether it was closed."""

    def __init__(self, method: str, error: Exception) -> None:
        self.method, self.error, self.called, self.closed = method, error, 0, 0

    def _maybe_fail(self, method: str) -> None:
        if method == self.method:
            self.called += 1
            raise self.error

    def on_event(self, event: Mapping[str, object]) -> None:
        self._maybe_fail("on_event")

    def on_audio(self, chunk: AudioChunk) -> None:
        self._maybe_fail("on_audio")

    def on_tick(self) -> None:
        self._maybe_fail("on_tick")

    def close(self) -> None:
        self.closed += 1
        self._maybe_fail("close")


FAULTS = [
    OSError(28, "No space left on device"),
    BrokenPipeError(32, "Broken pipe"),
    UnicodeEncodeError("ascii", WORDS, 0, 1, WORDS),
    KeyError(WORDS),
    RecursionError(WORDS),
]


@pytest.mark.parametrize("method", ["on_event", "on_audio", "on_tick", "close"])
@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
def test_a_faulty_observer_is_closed_and_all_others_go_on(
    method: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, sound, later = (Faulty(name, error) for name in (method, "", ""))
    speech = SpeechOutput()
    recognition = Recognition(TWO_EXCHANGES)
    options = LoopOptions(observers=[sound, faulty, later])
    source = Source(60, live=True, seconds_each=0.005)
    summary = MainLoop(source, recognition, Generator(), speech, options=options).run()
    assert summary.replies == 2
    assert speech.spoken == ["One.", "Two."] * 2
    assert (faulty.called, faulty.closed, sound.closed, later.closed) == (1, 1, 1, 1)
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert told[0].startswith("The observer Faulty failed; all else goes on without it: ")
    reason = error.strerror if isinstance(error, OSError) else type(error).__name__
    assert str(reason) in told[0]
    assert WORDS not in caplog.text


def test_an_observer_that_fails_twice_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Faulty):
        def _maybe_fail(self, method: str) -> None:
            raise self.error

    options = LoopOptions(observers=[Broken("", ValueError())])
    MainLoop(
        Source(3, live=True), Recognition({}), Generator(), SpeechOutput(), None, options
    ).run()
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


class Closed(Screen):
    """A terminal that has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_terminal_that_is_gone_ends_the_display_alone(caplog: pytest.LogCaptureFixture) -> None:
    speech = SpeechOutput()
    recognition = Recognition(TWO_EXCHANGES)
    source = Source(60, live=True, seconds_each=0.005)
    MainLoop(source, recognition, Generator(), speech, Console(Closed())).run()
    assert speech.spoken == ["One.", "Two."] * 2
    assert caplog.text.count("The display of the exchange failed") == 1


def test_a_recording_ends_where_its_exchange_cannot_be_written() -> None:
    speech = SpeechOutput()
    recognition = Recognition({2: EXCHANGE})
    loop = MainLoop(Source(60), recognition, Generator(), speech, Console(Closed()))
    with pytest.raises(BrokenPipeError):
        loop.run()
    assert speech.closed


def test_a_subscriber_that_fails_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Subscriber):
        def push(self, event: Mapping[str, object]) -> None:
            raise ValueError(WORDS)

    failing, working = Failing(wants_levels=True), Subscriber()
    loop = MainLoop(
        Source(1_000_000, live=True, seconds_each=0.01),
        Recognition({}),
        Generator(),
        SpeechOutput(),
    )
    with running(loop):
        for subscriber in (failing, working):
            loop.inbox.ask(Request("follow", {}), subscriber)
        wait_until(lambda: failing.disconnected)
        ask(loop, "say", seed="the crow")
        events: list[object] = []
        while "ended" not in events:
            event = working.next(10)
            assert event is not None
            events.append(event["event"])
    assert caplog.text.count("A subscriber of the control socket failed") == 1
    assert WORDS not in caplog.text


def test_a_greeting_that_cannot_be_printed_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    def greet(phrases: Iterable[str]) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    source, recognition = Source(5, live=True), Recognition({})
    options = LoopOptions(on_listening=greet)
    MainLoop(source, recognition, Generator(), SpeechOutput(), options=options).run()
    assert recognition.fed == 5
    assert "The greeting failed" in caplog.text


def test_everything_is_closed_where_closing_one_part_fails() -> None:
    class Stuck(SpeechOutput):
        def close(self) -> None:
            raise ValueError("a fault of ours")

    observer = Faulty("", ValueError())
    options = LoopOptions(observers=[observer])
    loop = MainLoop(Source(3, live=True), Recognition({}), Generator(), Stuck(), options=options)
    with pytest.raises(ValueError, match="a fault of ours"):
        loop.run()
    assert observer.closed == 1
