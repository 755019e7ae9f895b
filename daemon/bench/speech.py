"""Speech, noise and WAV files for the benches: 16-bit mono.

Recognition is fed at 16 kHz (`speak`); a virtual microphone plays the engine's own rate
(`write_speech`).
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from audio.tts.engine import SpeechEngine

CHUNK = round(CHUNK_SECONDS * SAMPLE_RATE)  # samples
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
    """Each text in this voice, at 16 kHz.

    Raises:
        ConfigError, SpeechError: as SpeechEngine.
    """
    from audio.tts.engine import SpeechEngine

    with closing(SpeechEngine(voice, rate_wpm, volume)) as engine:
        return [synthesize(engine, text) for text in texts]


def synthesize(engine: "SpeechEngine", text: str) -> Samples:
    """The text by a running engine, resampled to 16 kHz."""
    import soxr

    resampled: Samples = soxr.resample(engine.synthesize(text), engine.rate, SAMPLE_RATE)
    return resampled


def noise(length: int, level: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """White noise: so many samples of this root mean square."""
    return random.normal(0, level, length)


def write_speech(
    path: Path,
    voice: str,
    texts: Iterable[str],
    *,
    seconds: float | None = None,
    volume: float = 0.8,
) -> Path:
    """Write the texts in this voice, repeated or cut to `seconds`, into a WAV file; its path.

    Raises:
        ConfigError, SpeechError: as SpeechEngine.
    """
    from audio.tts.engine import SpeechEngine

    with closing(SpeechEngine(voice, 150, volume)) as engine:
        samples = np.concatenate([engine.synthesize(text) for text in texts])
        length = len(samples) if seconds is None else int(seconds * engine.rate)
        return write_wav(path, np.resize(samples, length), engine.rate)


def write_wav(path: Path, samples: Samples, rate: int) -> Path:
    """Write samples into a WAV file; returns its path."""
    import soundfile

    soundfile.write(path, samples, rate)
    return path
