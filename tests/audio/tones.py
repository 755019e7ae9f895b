"""A test tone, and its pitch."""

from collections.abc import Iterable

import numpy as np

from audio.pcm import AudioChunk

RATE = 16000
TONE_HZ = 440.0


def tone(rate: int, seconds: float = 1.0, loudness: float = 0.5) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate * seconds)) / rate)


def samples(chunks: Iterable[AudioChunk]) -> np.ndarray:
    return np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")


def pitch(sound: np.ndarray) -> float:
    """The loudest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * RATE / len(sound)
