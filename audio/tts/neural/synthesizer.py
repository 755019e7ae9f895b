"""What a neural voice engine offers: one module of this folder each, entered in engines.py."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from audio.tts.voices import Voice

FloatSamples = npt.NDArray[np.float32]


class Synthesizer(Protocol):
    """One neural voice, open in the worker process.

    Attributes:
        rate: samples per second of what `render` gives.
        gain: the factor that makes the voice as loud as espeak-ng at the same volume.
    """

    rate: int
    gain: float

    def split(self, text: str) -> list[str]:
        """Cut a text of up to 1,000 characters into pieces; each is heard while the next is made.

        Numbers, abbreviations and the like may be written out as they are read.
        """

    def can_read(self, text: str) -> bool:
        """False for a piece in which a word would be silent or spelled; espeak-ng speaks it."""

    def render(self, text: str, rate_wpm: int) -> FloatSamples:
        """The speech of a piece, -1 to 1, as long as espeak-ng's at this rate in words a minute."""


class VoiceEngine(Protocol):
    """A module with these names.

    Attributes:
        LICENCE: of engine and voices, SPDX names.
    """

    LICENCE: str

    def voices(self) -> list[Voice]:
        """The voices that are installed; empty where the package or the files are missing."""

    def open_voice(self, name: str) -> Synthesizer:
        """Load a voice, by the part of `voice.name` behind the colon; empty is the default voice.

        Raises:
            ConfigError: there is no such voice here; the message tells how to get it.
            SpeechError: the engine cannot work.
        """
