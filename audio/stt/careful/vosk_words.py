"""A larger Vosk model as the careful recogniser, such as one whose graph takes no phrases."""

from pathlib import Path

from audio.stt.vosk_engine import VoskEngine


class VoskWordRecognizer:
    """A loaded Vosk model for whole sounds. For one thread at a time."""

    def __init__(self, folder: Path, word_space: str) -> None:
        """Load the model; `word_space` separates its words.

        Raises:
            HearingModelError: it is incomplete or damaged.
        """
        self.folder = folder
        self._engine = VoskEngine(folder)
        self._word_space = word_space

    def hear(self, pcm: bytes) -> str:
        """The words of 16-bit samples at 16 kHz; empty where there are none."""
        recognizer = self._engine.open_vocabulary()
        words = [*(recognizer.accept(pcm) or []), *recognizer.finish()]
        return self._word_space.join(word.text for word in words)
