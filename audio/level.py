"""How loud sound is."""

import math
from collections.abc import Sequence

import numpy as np

from audio.pcm import CHUNK_SECONDS

SILENCE_DB = -96.0  # of 16-bit samples: nothing is quieter


def level_db(pcm: bytes) -> float:
    """The mean level of 16-bit samples, in dB of full scale: from SILENCE_DB to 0."""
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
