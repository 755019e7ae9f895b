"""Small stand-ins for the parts of the daemon, each with the port's behaviour and no more."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from audio.events import Event
from audio.pcm import AudioChunk
from daemon.loop.pending_reloads import ReloadRequest

QUIET = b"\1\0\xff\xff" * 640  # a dead microphone would give one value


@dataclass
class Source:
    """As many chunks of a quiet room as asked for, at full speed or in step with the clock.

    `open` fails with each of `errors` before it succeeds.
    """

    chunks: int
    live: bool = False
    seconds_each: float = 0.0
    closed: bool = False
    drops: int = 0
    opened: int = 0
    errors: list[Exception] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    pcm: bytes = QUIET

    @contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        if self.errors:
            raise self.errors.pop(0)
        self.opened += 1
        self.closed = False
        try:
            yield self._chunks()
        finally:
            self.closed = True

    def _chunks(self) -> Iterator[AudioChunk]:
        for number in range(1, self.chunks + 1):
            if self.stopped.wait(self.seconds_each):
                return
            yield AudioChunk(self.pcm, 16_000, number * 0.08)

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class Recognition:
    """Reports what the script says at each chunk, counted from 1; 0 is the end of the sound."""

    script: dict[int, list[Event]]
    fed: int = 0
    cancelled: int = 0

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        self.fed += 1
        return self.script.get(self.fed, [])

    def finish(self) -> Sequence[Event]:
        return self.script.get(0, [])

    def cancel(self) -> None:
        self.cancelled += 1


@dataclass
class Generator:
    """Says the same sentences after every seed."""

    sentences: Sequence[str] = ("One.", "Two.")
    error: Exception | None = None
    device: str = "cpu"
    seeds: list[str] = field(default_factory=list)
    name: str = "made"
    read: list[str] = field(default_factory=list)

    def read_ahead(self, seed: str) -> None:
        self.read.append(seed)

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.seeds.append(seed)
        yield from self.sentences
        if self.error:
            raise self.error


@dataclass
class SpeechOutput:
    """Takes a while for each sentence and remembers those that sounded to their end."""

    seconds_each: float = 0.0
    spoken: list[str] = field(default_factory=list)
    cues: list[str] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    started_at: float | None = None
    closed: bool = False
    sounding: int = 0
    said: str = ""  # the sentence that sounds
    restarts: int = 0
    voice: str = "a voice"
    errors: list[Exception] = field(default_factory=list)
    away: bool = False

    def check(self) -> None:
        self.away = False
        if self.errors:
            raise self.errors[0]

    def words_between(self, begin: float, end: float) -> str:
        return self.said

    def cue(self, name: str) -> bool:
        if self.away:
            return False
        self.cues.append(name)
        return True

    def pause(self, seconds: float) -> None:
        self.held.append(seconds)

    def speak(
        self,
        sentences: Iterable[str],
        cancelled: Callable[[], bool],
        wait_until_confirmed: Callable[[], None] = lambda: None,
    ) -> None:
        self.sounding, self.said, self.started_at = 0, "", None
        for sentence in sentences:
            if self.started_at is None:
                wait_until_confirmed()
                if cancelled():
                    return
                self.started_at = time.monotonic()
            self.sounding, self.said = self.sounding + 1, sentence
            end = time.monotonic() + self.seconds_each
            while time.monotonic() < end:
                if cancelled() or self.closed:
                    return
                time.sleep(0.005)
            self.spoken.append(sentence)

    def close(self) -> None:
        self.closed = True


class Screen(io.StringIO):
    """Standard output as a text."""


class Reloads:
    """A BeginReload that remembers its reloads; the test ends each."""

    def __init__(self) -> None:
        self.begun: list[ReloadRequest] = []

    def __call__(self, *, on_cpu: bool = False) -> ReloadRequest:
        self.begun.append(ReloadRequest(on_cpu))
        return self.begun[-1]
