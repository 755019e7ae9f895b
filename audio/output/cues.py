"""Cues: short tones for events, synthesized here or read from the user's own WAV files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.input.channels import ChannelMixer
from audio.input.sound_file import blocks, open_sound
from audio.pcm import Samples
from audio.tts.sound import RATE
from config.errors import ConfigError, InputError

NAMES = ("trigger", "captured", "nothing", "error")
MAX_SECONDS = 3.0  # of a file
_TONE_SECONDS = 0.07
_FADE_SECONDS = 0.012  # a tone without fades clicks
_HERTZ: Mapping[str, tuple[int, ...]] = {
    "trigger": (660, 880),  # up: your turn
    "captured": (880,),
    "nothing": (880, 660),  # down: back to sleep
    "error": (330, 330, 330),
}


def load_cues(wanted: Mapping[str, bool | str], volume: float) -> Mapping[str, Samples]:
    """The samples of each cue at the speech's rate; True: a tone, False: none, a text: a file.

    Raises:
        ConfigError: a file is missing, is not audio or is longer than MAX_SECONDS.
    """
    sounds = {}
    for name, choice in wanted.items():
        if choice is not False:
            sound = _tones(_HERTZ[name]) if choice is True else _read(name, Path(choice))
            sounds[name] = (sound * volume * np.iinfo(np.int16).max).astype(np.int16)
    return sounds


def _tones(hertz: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One sine after another, each fading in and out; floats from -1 to 1."""
    times = np.arange(int(_TONE_SECONDS * RATE)) / RATE
    edge = np.minimum(1, np.minimum(times, times[::-1]) / _FADE_SECONDS)
    return np.concatenate([edge * np.sin(2 * np.pi * f * times) for f in hertz]).astype(np.float32)


def _read(name: str, path: Path) -> npt.NDArray[np.float32]:
    import soxr

    path = path.expanduser()
    try:
        if not path.is_file():  # opening a pipe would wait for its writer
            raise InputError(f"{path} is no file.")
        with open_sound(path) as file:
            seconds = file.frames / file.samplerate
            if not 0 < seconds <= MAX_SECONDS:
                raise ConfigError(
                    f"cues.{name}: {path} lasts {seconds:.1f} s; "
                    f"a cue has at most {MAX_SECONDS:g} s."
                )
            block = np.concatenate(list(blocks(file, file.frames, path)))
            sound = ChannelMixer(file.samplerate).mix(np.nan_to_num(block))
            resampled: npt.NDArray[np.float32] = soxr.resample(sound, file.samplerate, RATE)
    except InputError as error:
        raise ConfigError(
            f"cues.{name}: {path} is not a sound file that can be read; name a WAV file, or true "
            f"for the tone that comes with Afterword."
        ) from error
    return np.clip(resampled, -1, 1)
