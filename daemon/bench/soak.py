"""Soak test: hours of audio through the real components, faster than real time.

`python -m daemon.bench --soak 24` checks that every exchange is served and that nothing grows. The
audio is quiet noise, silence and talk, with an exchange every few minutes. The speech engine speaks
it, so no recordings are needed; the replies go to a sink that drops them.
"""

import gc
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np

from audio.events import Event, Triggered
from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk, Samples
from config.settings import Settings
from daemon import components
from daemon.bench.speech import ROOM_LEVEL, SEEDS, TALK, noise, speak
from daemon.bench.usage import require_psutil, resident_mb
from daemon.loop.main_loop import MainLoop
from daemon.ports import Recognition
from model.inference.loading import load_weights

NOISE_SECONDS = 60  # of noise are made; each gap is a random cut of them
NOISE_LEVELS = (0, 3, 10, 30)  # root mean square, of 32,768
SILENCE_SECONDS = 6.0  # after an exchange, so that the seed ends
MAX_MEMORY_GROWTH = 0.05  # as a share of the memory after the first hour
VOICES = ("en-us", "en-us+f3", "en-us+f2")


@dataclass(frozen=True)
class Exchange:
    """Position of a trigger phrase and a seed in the audio, in seconds."""

    begin: float
    end: float


@dataclass(frozen=True)
class Point:
    """Resources of the process and its children at one time of the audio."""

    hours: float
    memory_mb: float
    descriptors: int
    threads: int
    children: int

    @property
    def countable(self) -> tuple[int, int, int]:
        """The counts that must be equal at every point."""
        return self.descriptors, self.threads, self.children


@dataclass
class Report:
    """Result of a soak test.

    Attributes:
        wanted: exchanges in the audio; `served` of them were recognised and answered aloud.
        false: false accepts: triggers detected outside an exchange.
        points: in order; the later ones are compared with the first.
        seconds: duration of the test.
        unheard: the hour of each exchange whose trigger was not detected (false rejects).
    """

    wanted: int = 0
    served: int = 0
    false: int = 0
    points: list[Point] = field(default_factory=list)
    seconds: float = 0.0
    unheard: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """Growth of memory: the largest at a later point over the first, less one."""
        first, *later = [point.memory_mb for point in self.points]
        return max(later, default=first) / first - 1

    def problems(self) -> list[str]:
        """Descriptions of the problems found; none after a good run."""
        found = []
        if self.served < self.wanted:
            hours = ", ".join(f"{hour:.3f}" for hour in self.unheard) or "none"
            found.append(
                f"{self.wanted - self.served} of {self.wanted} triggers were not served "
                f"(not heard: {hours}, in hours of the sound)"
            )
        if self.growth > MAX_MEMORY_GROWTH:
            found.append(f"memory grew by {self.growth:.1%}")
        if len({point.countable for point in self.points}) > 1:
            found.append("descriptors, threads or children did not stay the same")
        return found


class Sound:
    """An AudioSource that waits for every reply, as a file does."""

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
        """`at_chunk` is called with the audio time (seconds), between replies."""
        self.scheduled: list[Exchange] = []
        self._exchanges, self._talk = exchanges, talk
        self._end, self._gap = hours * 3600, gap_seconds
        self._at_chunk = at_chunk
        self._random = np.random.default_rng(1)
        self._noise = self._random.normal(0, 1, NOISE_SECONDS * SAMPLE_RATE).astype(np.float32)
        self._stopped = False

    def stop(self) -> None:
        """End after the current chunk."""
        self._stopped = True

    @contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Yield the chunks, from the beginning."""
        yield self._chunks()

    def _chunks(self) -> Iterator[AudioChunk]:
        size, done = round(CHUNK_SECONDS * SAMPLE_RATE), 0
        for piece in self._pieces():
            for begin in range(0, len(piece), size):
                pcm = piece[begin : begin + size].tobytes()
                done += len(pcm) // 2
                if self._stopped:
                    return
                yield AudioChunk(pcm, SAMPLE_RATE, done / SAMPLE_RATE)
                self._at_chunk(done / SAMPLE_RATE)

    def _pieces(self) -> Iterator[Samples]:
        """Yield gaps of noise, with talk in every other one, and exchanges, until the end."""
        done = 0.0
        for number in itertools.count():
            exchange = self._exchanges[number % len(self._exchanges)]
            talk = self._talk[number % len(self._talk)] if number % 2 else np.zeros(0, np.int16)
            rest = self._gap - SILENCE_SECONDS - (len(exchange) + len(talk)) / SAMPLE_RATE
            before = [*self._quiet(rest / 2), talk, *self._quiet(rest / 2)]
            begin = done + sum(map(len, before)) / SAMPLE_RATE
            end = begin + len(exchange) / SAMPLE_RATE
            if end + SILENCE_SECONDS > self._end:
                yield from self._quiet(self._end - done)
                return
            self.scheduled.append(Exchange(begin, end))
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
        size = round(seconds * SAMPLE_RATE)
        begin = int(self._random.integers(len(self._noise) - size))
        return (self._noise[begin : begin + size] * level).astype(np.int16)


class RecordingRecognition:
    """Passes audio to a Recognition, and records the times of its triggers."""

    def __init__(self, recognition: Recognition) -> None:
        self._recognition = recognition
        self.triggered: list[float] = []

    def feed(self, chunk: AudioChunk, *, commands: bool, playing: bool) -> Sequence[Event]:
        """Hear one more chunk."""
        return self._noted(self._recognition.feed(chunk, commands=commands, playing=playing))

    def finish(self) -> Sequence[Event]:
        """End the audio."""
        return self._noted(self._recognition.finish())

    def cancel(self) -> None:
        """Cancel a capture."""
        self._recognition.cancel()

    def _noted(self, events: Sequence[Event]) -> Sequence[Event]:
        self.triggered += [event.at_seconds for event in events if isinstance(event, Triggered)]
        return events


class NullSink:
    """An AudioSink that drops the speech and counts the replies that had any."""

    started_at = None

    def __init__(self) -> None:
        self.replies = 0
        self._sounds = False

    def open(self) -> None:
        """Begin a reply."""
        self._sounds = False

    def play(self, samples: Samples, cancelled: Callable[[], bool]) -> None:  # noqa: ARG002
        """Count a reply at its first samples."""
        if samples.any() and not self._sounds:
            self.replies += 1
            self._sounds = True

    def wait(self, cancelled: Callable[[], bool]) -> None:
        """Return at once."""

    def stop(self) -> None:
        """Do nothing."""

    def cue(self, samples: Samples) -> bool:  # noqa: ARG002
        """Drop the cue."""
        return True

    def pause(self, seconds: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def soak(
    settings: Settings, hours: float, gap_seconds: float, tell: Callable[[str], Any]
) -> Report:
    """Serve `hours` of audio with an exchange every `gap_seconds`; `tell` prints the progress.

    Raises:
        AfterwordError: a component does not start, or a reply failed.
    """
    from audio.output.speech_output import SpeechOutput
    from audio.tts.engine import SpeechEngine

    report, began = Report(), time.monotonic()
    # A short run has no first hour; its second half is compared with its first.
    step = min(1.0, hours / 2)
    due = itertools.count(1)
    next_due = next(due) * step

    def measure(audio_seconds: float) -> None:
        nonlocal next_due
        if audio_seconds >= next_due * 3600 - 1:
            report.points.append(measure_usage(audio_seconds / 3600))
            tell(f"{report.points[-1]}, {len(sound.scheduled)} exchanges")
            next_due = next(due) * step

    exchanges, talk = synthesize_speech(settings)
    sound = Sound(exchanges, talk, hours, gap_seconds, measure)
    recognition = RecordingRecognition(components.open_recognition(settings))
    generator, _ = load_weights(settings)
    voice = settings.voice
    sink = NullSink()
    speaker = SpeechOutput(SpeechEngine(voice.name, voice.rate_wpm, voice.volume), sink, 0.0)
    speaker.start()
    with closing(speaker):
        MainLoop(sound, recognition, generator, speaker).run()
    report.wanted = len(sound.scheduled)
    heard = [any(e.begin <= at <= e.end for at in recognition.triggered) for e in sound.scheduled]
    report.unheard = [
        e.begin / 3600 for e, was in zip(sound.scheduled, heard, strict=True) if not was
    ]
    report.served = min(sum(heard), sink.replies)
    report.false = len(recognition.triggered) - sum(heard)
    report.seconds = time.monotonic() - began
    return report


def synthesize_speech(settings: Settings) -> tuple[list[Samples], list[Samples]]:
    """Exchanges and talk, in several voices, over the faint noise of a room."""
    random = np.random.default_rng(2)
    texts = [f"{phrase}, {seed}" for phrase in settings.trigger.phrases for seed in SEEDS[:4]]
    exchanges: list[Samples] = []
    talk: list[Samples] = []
    for voice in VOICES:
        sounds = [
            np.clip(sound + noise(len(sound), ROOM_LEVEL, random), -32_768, 32_767).astype(np.int16)
            for sound in speak(voice, [*texts, *TALK], rate_wpm=140)
        ]
        exchanges += sounds[: len(texts)]
        talk += sounds[len(texts) :]
    return exchanges, talk


def measure_usage(hours: float) -> Point:
    """Resources of this process and its children now."""
    import psutil

    gc.collect()  # garbage that waits for the collector is no growth
    process = psutil.Process()
    memory = resident_mb(process.pid)
    return Point(
        round(hours, 3),
        round(sum(memory), 1),
        process.num_fds(),
        process.num_threads(),
        len(memory) - 1,
    )


def run(hours: float, gap: float, flags: Sequence[str]) -> None:
    """Run the soak test and print its report; exits with 1 if there are problems.

    Raises:
        MissingPackageError: psutil is not installed.
        AfterwordError: as `soak`.
    """
    from config.load import load

    require_psutil()
    report = soak(load(None, flags).settings, hours, gap, click.echo)
    click.echo(
        f"{hours:g} hours of sound in {report.seconds / 60:.1f} minutes: {report.served} of "
        f"{report.wanted} triggers served, {report.false} false ones; memory {report.growth:+.1%} "
        f"after {report.points[0].hours:g} h."
    )
    if problems := report.problems():
        click.echo(f"Not as it should be: {'; '.join(problems)}.")
        raise SystemExit(1)
