"""Hours of sound through the real parts, faster than they pass: all is served, nothing grows.

`python -m daemon.bench --soak 24`. The sound is quiet noise, silence and talk, with an exchange
strewn in every few minutes. The speech comes from the voice itself, so nothing need be at hand;
what it says aloud goes nowhere.
"""

import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from audio.events import Event, Triggered
from audio.pcm import CHUNK_SECONDS, AudioChunk
from config.settings import Settings
from daemon import components
from daemon.loop.main_loop import MainLoop
from daemon.ports import Recognition

Samples = npt.NDArray[np.int16]

RATE = 16_000
NOISE_SECONDS = 60  # of it are made, and cut anew each time
NOISE_LEVELS = (0, 3, 10, 30)  # root mean square, of 32,768
ROOM_LEVEL = 10  # the noise under an exchange
SILENCE_SECONDS = 6.0  # after an exchange, so that the seed surely ends
LARGEST_GROWTH = 0.05  # of the memory after the first hour
VOICES = ("en-us", "en-us+f3", "en-us+f2")
SEEDS = (
    "once upon a time there was a little fox",
    "the old man went down to the river",
    "in the morning the children went to the park",
    "my grandmother had a red house",
)
TALK = (
    "It rained all night, and in the morning the road was under water.",
    "She asked whether anybody had seen the key, but nobody answered.",
    "We could take the train at nine and be home before dark.",
)


@dataclass(frozen=True)
class Exchange:
    """Where a trigger phrase and a seed lie in the sound, in seconds."""

    begin: float
    end: float


@dataclass(frozen=True)
class Point:
    """What the process and its children hold at a moment of the sound."""

    hours: float
    memory_mb: float
    descriptors: int
    threads: int
    children: int

    @property
    def countable(self) -> tuple[int, int, int]:
        """What must be the same at every point."""
        return self.descriptors, self.threads, self.children


@dataclass
class Report:
    """What came of it.

    Attributes:
        wanted: exchanges in the sound; `served` of them were heard and answered aloud.
        false: triggers heard where there was none.
        points: in their order; the first is the one that later ones are compared with.
        seconds: how long it took.
        unheard: the hour of each exchange whose trigger was not heard.
    """

    wanted: int = 0
    served: int = 0
    false: int = 0
    points: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    unheard: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """The largest memory at a later point over that at the first, less one."""
        first, *later = [point.memory_mb for point in self.points]
        return max(later, default=first) / first - 1

    def problems(self) -> list[str]:
        """What should not be, in words."""
        found = []
        if self.served < self.wanted:
            hours = ", ".join(f"{hour:.3f}" for hour in self.unheard) or "none"
            found.append(
                f"{self.wanted - self.served} of {self.wanted} triggers were not served "
                f"(not heard: {hours}, in hours of the sound)"
            )
        if self.growth > LARGEST_GROWTH:
            found.append(f"memory grew by {self.growth:.1%}")
        if len({point.countable for point in self.points}) > 1:
            found.append("descriptors, threads or children did not stay the same")
        return found


class Sound:
    """Fulfils the daemon's AudioSource: it waits for every reply, as a file does."""

    live = False
    drops = 0

    def __init__(
        self,
        exchanges: Sequence[Samples],
        talk: Sequence[Samples],
        hours: float,
        gap_seconds: float,
        at_chunk: Callable[[float], None],
    ) -> None:
        """`at_chunk` is called with the time in the sound, while no reply is under way."""
        self.strewn: list[Exchange] = []
        self._exchanges, self._talk = exchanges, talk
        self._end, self._gap = hours * 3600, gap_seconds
        self._at_chunk = at_chunk
        self._random = np.random.default_rng(1)
        self._noise = self._random.normal(0, 1, NOISE_SECONDS * RATE).astype(np.float32)
        self._stopped = False

    def stop(self) -> None:
        """End after the chunk it is at."""
        self._stopped = True

    @contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Begin."""
        yield self._chunks()

    def _chunks(self) -> Iterator[AudioChunk]:
        size, done = round(CHUNK_SECONDS * RATE), 0
        for piece in self._pieces():
            for begin in range(0, len(piece), size):
                pcm = piece[begin : begin + size].tobytes()
                done += len(pcm) // 2
                if self._stopped:
                    return
                yield AudioChunk(pcm, RATE, done / RATE)
                self._at_chunk(done / RATE)

    def _pieces(self) -> Iterator[Samples]:
        """A gap of noise, talk in every other one, and an exchange, until the time is over."""
        done = 0.0
        for number in itertools.count():
            exchange = self._exchanges[number % len(self._exchanges)]
            talk = self._talk[number % len(self._talk)] if number % 2 else np.zeros(0, np.int16)
            rest = self._gap - SILENCE_SECONDS - (len(exchange) + len(talk)) / RATE
            before = [*self._quiet(rest / 2), talk, *self._quiet(rest / 2)]
            begin = done + sum(map(len, before)) / RATE
            end = begin + len(exchange) / RATE
            if end + SILENCE_SECONDS > self._end:
                yield from self._quiet(self._end - done)
                return
            self.strewn.append(Exchange(begin, end))
            done = end + SILENCE_SECONDS
            yield from before
            yield exchange
            yield self._noise_of(SILENCE_SECONDS, ROOM_LEVEL)

    def _quiet(self, seconds: float) -> Iterator[Samples]:
        while seconds > 0:
            part = min(seconds, NOISE_SECONDS / 2)
            yield self._noise_of(part, int(self._random.choice(NOISE_LEVELS)))
            seconds -= part

    def _noise_of(self, seconds: float, level: int) -> Samples:
        size = round(seconds * RATE)
        begin = int(self._random.integers(len(self._noise) - size))
        return (self._noise[begin : begin + size] * level).astype(np.int16)


class Witness:
    """Hears as the hearing does, and remembers when it was triggered."""

    def __init__(self, hearing: Recognition) -> None:
        self._hearing = hearing
        self.triggered: list[float] = []

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        """Hear one more chunk."""
        return self._noted(self._hearing.feed(chunk, commands=commands, playing=playing))

    def finish(self) -> Sequence[Event]:
        """The sound has ended."""
        return self._noted(self._hearing.finish())

    def cancel(self) -> None:
        """Drop a capture."""
        self._hearing.cancel()

    def _noted(self, events: Sequence[Event]) -> Sequence[Event]:
        self.triggered += [event.at_seconds for event in events if isinstance(event, Triggered)]
        return events


class Nowhere:
    """A sink that takes the speech and counts the replies that had any."""

    started_at = None

    def __init__(self) -> None:
        self.replies = 0
        self._sounds = False

    def open(self) -> None:
        """A reply begins."""
        self._sounds = False

    def play(self, samples: Samples, cancelled: Callable[[], bool]) -> None:  # noqa: ARG002
        """Take samples."""
        if samples.any() and not self._sounds:
            self.replies += 1
            self._sounds = True

    def wait(self, cancelled: Callable[[], bool]) -> None:
        """All has sounded."""

    def stop(self) -> None:
        """Nothing sounds."""

    def cue(self, samples: Samples) -> bool:  # noqa: ARG002
        """Nobody hears it."""
        return True

    def hold(self, seconds: float) -> None:
        """Nothing sounds."""

    def close(self) -> None:
        """There is nothing to free."""


def soak(
    settings: Settings, hours: float, gap_seconds: float, tell: Callable[[str], Any]
) -> Report:
    """Serve so many hours of sound, with an exchange every `gap_seconds`.

    Raises:
        AfterwordError: a part does not start, or a reply failed.
    """
    from audio.output.speech_output import SpeechOutput
    from audio.tts.engine import SpeechEngine

    report, began = Report(), time.monotonic()
    # A short run has no first hour: its second half is compared with its first.
    step = min(1.0, hours / 2)
    due = itertools.count(1)
    next_due = next(due) * step

    def measure(audio_seconds: float) -> None:
        nonlocal next_due
        if audio_seconds >= next_due * 3600 - 1:
            report.points.append(point(audio_seconds / 3600))
            tell(f"{report.points[-1]}, {len(sound.strewn)} exchanges")
            next_due = next(due) * step

    exchanges, talk = render_speech(settings)
    sound = Sound(exchanges, talk, hours, gap_seconds, measure)
    witness = Witness(components.open_recognition(settings))
    generator = components.open_generator(settings)
    voice = settings.voice
    sink = Nowhere()
    speaker = SpeechOutput(SpeechEngine(voice.name, voice.rate_wpm, voice.volume), sink, 0.0)
    speaker.start()
    with closing(speaker):
        MainLoop(sound, witness, generator, speaker).run()
    report.wanted = len(sound.strewn)
    heard = [any(e.begin <= at <= e.end for at in witness.triggered) for e in sound.strewn]
    report.unheard = [e.begin / 3600 for e, was in zip(sound.strewn, heard, strict=True) if not was]
    report.served = min(sum(heard), sink.replies)
    report.false = len(witness.triggered) - sum(heard)
    report.seconds = time.monotonic() - began
    return report


def render_speech(settings: Settings) -> tuple[list[Samples], list[Samples]]:
    """Exchanges and talk at 16 kHz, in several voices, over the faint noise of a room."""
    import soxr

    from audio.tts.engine import RATE as SPEECH_RATE
    from audio.tts.engine import SpeechEngine

    random = np.random.default_rng(2)
    exchanges: list[Samples] = []
    talk: list[Samples] = []
    for voice in VOICES:
        with closing(SpeechEngine(voice, 140, 0.8)) as engine:

            def say(text: str) -> Samples:
                sound = soxr.resample(engine.render(text), SPEECH_RATE, RATE)
                room = random.normal(0, ROOM_LEVEL, len(sound))
                samples: Samples = np.clip(sound + room, -32_768, 32_767).astype(np.int16)
                return samples

            for phrase, seed in itertools.product(settings.trigger.phrases, SEEDS):
                exchanges.append(say(f"{phrase}, {seed}"))
            talk += [say(text) for text in TALK]
    return exchanges, talk


def point(hours: float) -> Point:
    """What we hold now, as Linux counts it."""
    gc.collect()  # what is only waiting for the collector is no growth
    processes = [os.getpid(), *children_of(os.getpid())]
    status = [Path(f"/proc/{number}/statm").read_text().split() for number in processes]
    pages = sum(int(fields[1]) for fields in status)
    return Point(
        round(hours, 3),
        round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        len(list(Path("/proc/self/fd").iterdir())),
        len(list(Path("/proc/self/task").iterdir())),
        len(processes) - 1,
    )


def children_of(parent: int) -> list[int]:
    """The numbers of a process's children, zombies included."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = file.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(after_name[1]) == parent:
            found.append(int(file.parent.name))
    return found


def run(hours: float, gap: float, flags: Sequence[str]) -> None:
    """Soak and report; exits with 1 where something was not as it should be."""
    from config.load import load

    report = soak(load(None, flags).settings, hours, gap, click.echo)
    click.echo(
        f"{hours:g} hours of sound in {report.seconds / 60:.1f} minutes: {report.served} of "
        f"{report.wanted} triggers served, {report.false} false ones; memory {report.growth:+.1%} "
        f"after {report.points[0].hours:g} h."
    )
    if problems := report.problems():
        click.echo(f"Not as it should be: {'; '.join(problems)}.")
        raise SystemExit(1)
