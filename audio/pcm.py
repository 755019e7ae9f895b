"""The unit of audio that travels from a source to the hearing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Samples: TypeAlias = "npt.NDArray[np.int16]"
"""Mono 16-bit samples, for annotations; this file does without numpy at run time."""

CHUNK_SECONDS = 0.032  # of a source's chunks: the voice detector's frame, so that it never waits


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
