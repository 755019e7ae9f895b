"""16-bit mono sound: the chunk that travels through the daemon, its level, its latest seconds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SAMPLE_RATE = 16_000  # samples per second: what the recognisers and the voice detector want
CHUNK_SECONDS = 0.032  # of a source's chunks: the voice detector's frame, so that it never waits
SILENCE_DB = -96.0  # of 16-bit samples: nothing is quieter


@dataclass(frozen=True)
class AudioChunk:
    """A short stretch of mono sound.

    Attributes:
        pcm: signed 16-bit little-endian samples.
        rate: samples per second.
        end_seconds: audio time at the end of this chunk, counted in samples since the source was
            opened. It is the only clock of the daemon.
    """

    pcm: bytes
    rate: int
    end_seconds: float


def level_db(pcm: bytes) -> float:
    """The mean level of 16-bit samples, in dB of full scale: from SILENCE_DB to 0."""
    import numpy as np  # here, for the command line imports this module

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    power = float(np.dot(samples, samples)) / max(1, len(samples))
    return max(SILENCE_DB, 10 * math.log10(power)) if power else SILENCE_DB


def levels_db(pcm: bytes, rate: int) -> list[float]:
    """The level of each whole chunk of 16-bit samples, in dB of full scale."""
    size = 2 * round(CHUNK_SECONDS * rate)
    return [level_db(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def loudness_db(levels: Sequence[float], share: float) -> float:
    """The level that this share of them is below; there must be one."""
    return sorted(levels)[int(share * (len(levels) - 1))]


class AudioRingBuffer:
    """The last seconds of 16-bit sound at 16 kHz. Times are seconds since it was made."""

    def __init__(self, seconds: float) -> None:
        self._limit = 2 * round(seconds * SAMPLE_RATE)  # bytes
        self._kept = bytearray()
        self._samples = 0

    @property
    def seconds(self) -> float:
        """How much sound there has been."""
        return self._samples / SAMPLE_RATE

    def add(self, pcm: bytes) -> None:
        """Keep these samples, too."""
        self._samples += len(pcm) // 2
        self._kept += pcm
        excess = len(self._kept) - self._limit
        if excess > 2 * SAMPLE_RATE:  # trim now and then, not at every chunk
            del self._kept[:excess]

    def since(self, start: float, end: float = float("inf")) -> bytes:
        """The samples from one time to another, as far as they are kept."""
        first = self._samples - len(self._kept) // 2
        begin = max(0, round(start * SAMPLE_RATE) - first)
        stop = min(self._samples, round(min(end, self.seconds) * SAMPLE_RATE)) - first
        return bytes(self._kept[2 * begin : 2 * stop])


class DigitalSilence:
    """Watches the sound of one source."""

    SECONDS = 5.0  # a noise gate gives zeros, too, but seldom for long

    def __init__(self) -> None:
        self._seconds = 0.0

    def feed(self, chunk: AudioChunk) -> None:
        """Look at one more chunk; an empty one says nothing."""
        if chunk.pcm.count(0) < len(chunk.pcm):
            self._seconds = 0.0
        else:
            self._seconds += len(chunk.pcm) / 2 / chunk.rate

    @property
    def lasts(self) -> bool:
        """Whether nothing but zeros has come for SECONDS."""
        return self._seconds >= self.SECONDS
