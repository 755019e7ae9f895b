"""16-bit mono sound: chunks, their level, a ring buffer, digital silence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Samples: TypeAlias = "npt.NDArray[np.int16]"
"""Mono 16-bit samples, for annotations; numpy is not imported with this module."""

SAMPLE_RATE = 16_000  # samples per second: what the recognisers and the voice detector want
CHUNK_SECONDS = 0.032  # length of a chunk: one frame of the voice detector, which then never waits
SILENCE_DB = -96.0  # the lowest level, that of zeros


@dataclass(frozen=True)
class AudioChunk:
    """A short piece of mono sound, as an audio source emits it.

    Attributes:
        pcm: signed 16-bit little-endian samples.
        rate: samples per second.
        end_seconds: audio time at the end of this chunk, the only clock of the daemon. A source
            counts it in samples since it was opened; in the daemon it goes on over all openings
            (daemon/conversation/audio_clock.py).
    """

    pcm: bytes
    rate: int
    end_seconds: float

    @property
    def begin_seconds(self) -> float:
        """Audio time at the beginning of this chunk."""
        return self.end_seconds - len(self.pcm) / 2 / self.rate


def level_db(pcm: bytes) -> float:
    """The RMS level of 16-bit samples in dBFS, from SILENCE_DB to 0."""
    import numpy as np  # here, for the command line imports this module

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    power = float(np.dot(samples, samples)) / max(1, len(samples))
    return max(SILENCE_DB, 10 * math.log10(power)) if power else SILENCE_DB


def levels_db(pcm: bytes, rate: int) -> list[float]:
    """The RMS level in dBFS of each whole chunk of 16-bit samples."""
    size = 2 * round(CHUNK_SECONDS * rate)
    return [level_db(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def level_percentile_db(levels: Sequence[float], percentile: float) -> float:
    """The percentile (0 to 1) of the levels, of which there must be one."""
    return sorted(levels)[int(percentile * (len(levels) - 1))]


class AudioRingBuffer:
    """Holds the last seconds of 16-bit samples at 16 kHz.

    Times are seconds of sound, and of what was skipped, since it was made.
    """

    def __init__(self, seconds: float) -> None:
        self._limit = 2 * round(seconds * SAMPLE_RATE)  # bytes
        self._kept = bytearray()
        self._samples = 0

    @property
    def seconds(self) -> float:
        """The time at the end of all sound so far."""
        return self._samples / SAMPLE_RATE

    def add(self, pcm: bytes) -> None:
        """Append samples; the oldest fall out."""
        self._samples += len(pcm) // 2
        self._kept += pcm
        excess = len(self._kept) - self._limit
        if excess > 2 * SAMPLE_RATE:  # trim now and then, not at every chunk
            del self._kept[:excess]

    def skip(self, seconds: float) -> None:
        """Let time pass without sound, and drop all samples."""
        self._samples += round(seconds * SAMPLE_RATE)
        self._kept.clear()

    def since(self, start: float, end: float = float("inf")) -> bytes:
        """The samples from `start` to `end`, as far as they are still held."""
        first = self._samples - len(self._kept) // 2
        begin = max(0, round(start * SAMPLE_RATE) - first)
        stop = min(self._samples, round(min(end, self.seconds) * SAMPLE_RATE)) - first
        return bytes(self._kept[2 * begin : 2 * stop])


class DigitalSilence:
    """Detects digital silence: a muted or dead microphone gives one value, a quiet room never does.

    The value is 0, or the offset of the microphone's input.
    """

    SECONDS = 5.0  # of one value; a noise gate gives some, too, but seldom for long

    def __init__(self) -> None:
        self._seconds = 0.0

    def feed(self, chunk: AudioChunk) -> None:
        """Examine one more chunk; an empty one changes nothing."""
        if chunk.pcm != chunk.pcm[:2] * (len(chunk.pcm) // 2):
            self._seconds = 0.0
        else:
            self._seconds += len(chunk.pcm) / 2 / chunk.rate

    @property
    def lasts(self) -> bool:
        """True after SECONDS of one value alone."""
        return self._seconds >= self.SECONDS
