"""hibari: English voices distilled from Kokoro-82M, from the package hibari-tts."""

import re

from audio.tts.neural.synthesizer import FloatSamples
from audio.tts.voices import Voice

LICENCE = "Apache-2.0"


def voices() -> list[Voice]:
    """The voice that the package holds."""
    return [Voice("hibari", "Heart", "en-us", "hibari", LICENCE)]


def open_voice(name: str) -> "HibariVoice":
    """Load a voice; an empty name is the default voice."""
    return HibariVoice(name or "heart")


class HibariVoice:
    """An open voice."""

    rate, gain = 24_000, 1.85

    def __init__(self, name: str) -> None:
        from hibari import Hibari
        from hibari.voices import voice_path

        self._hibari = Hibari(voice=name, model=voice_path(name, download_missing=False))

    def split(self, text: str) -> list[str]:
        """Cut into sentences."""
        return list(self._hibari.split_sentences(text))

    def can_read(self, text: str) -> bool:
        """False where there are letters of other scripts."""
        return not re.search(r"[^\W\d_a-zA-ZÀ-ɏ]", text)

    def render(self, text: str, rate_wpm: int) -> FloatSamples:
        """The speech of a piece."""
        samples: FloatSamples = self._hibari(text, speed=rate_wpm / 190, seed=0)
        return samples
