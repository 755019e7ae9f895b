"""How loud sound is."""

import math

import numpy as np

SILENCE_DB = -96.0  # of 16-bit samples: nothing is quieter


def level_db(pcm: bytes) -> float:
    """The mean level of 16-bit samples, in dB of full scale: from SILENCE_DB to 0."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    power = float(np.dot(samples, samples)) / max(1, len(samples))
    return max(SILENCE_DB, 10 * math.log10(power)) if power else SILENCE_DB
