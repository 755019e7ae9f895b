"""Speech, noise and WAV files for the benches: 16-bit mono at 16 kHz, as recognition takes it."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audio.pcm import CHUNK_SECONDS, Samples

if TYPE_CHECKING:
    from audio.tts.engine import SpeechEngine

RATE = 16_000  # samples per second
CHUNK = round(CHUNK_SECONDS * RATE)  # samples
ROOM_LEVEL = 10  # root mean square of the noise under speech, of 32,768
VOICES = ("en-us", "en-us+f3", "en-gb-scotland")
USERS = ("en-us+f3", "en-gb-scotland", "en-us+f2")  # voices that differ from a reply's en-us
SEEDS = (
    "once upon a time there was a little fox",
    "the old man went down to the river",
    "in the morning the children went to the park",
    "my grandmother had a red house",
    "the girl had a small dog",
    "one day a big bear came",
)
TALK = (
    "It rained all night, and in the morning the road was under water.",
    "She asked whether anybody had seen the key, but nobody answered.",
    "We could take the train at nine and be home before dark.",
)


def speak(
    voice: str, texts: Iterable[str], *, rate_wpm: int = 150, volume: float = 0.8
) -> list[Samples]:
    """Each text in this voice.

    Raises:
        ConfigError, SpeechError: as SpeechEngine.
    """
    from audio.tts.engine import SpeechEngine

    with closing(SpeechEngine(voice, rate_wpm, volume)) as engine:
        return [synthesize(engine, text) for text in texts]


def synthesize(engine: "SpeechEngine", text: str) -> Samples:
    """The text by a running engine, resampled to RATE."""
    import soxr

    resampled: Samples = soxr.resample(engine.synthesize(text), engine.rate, RATE)
    return resampled


def noise(length: int, level: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """White noise: so many samples of this root mean square."""
    return random.normal(0, level, length)


def write_wav(path: Path, samples: Samples) -> Path:
    """Write samples at RATE into a WAV file; returns its path."""
    import soundfile

    soundfile.write(path, samples, RATE)
    return path
