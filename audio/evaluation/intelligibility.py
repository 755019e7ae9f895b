"""Word and character errors of speech: what a recogniser hears, against what was said."""

import importlib.util
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from audio.pcm import SAMPLE_RATE, Samples
from audio.stt.vosk_engine import VoskEngine
from audio.tts.neural.onnx import SILENT
from config.errors import InputError, MissingPackageError
from config.installation import add_extra_command
from config.languages import LANGUAGES

LEAD_SECONDS = 0.5  # of silence before and after, as around speech in a room
_WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")


class Listener(Protocol):
    """A recogniser of whole recordings.

    Attributes:
        name: of the recogniser.
    """

    name: str

    def hear(self, sound: Samples) -> str:
        """The text of a sound at 16 kHz."""


class VoskListener:
    """Vosk with its open vocabulary."""

    name = "Vosk"

    def __init__(self, engine: VoskEngine) -> None:
        self._engine = engine

    def hear(self, sound: Samples) -> str:
        """The words of a sound at 16 kHz, with spaces between them."""
        recognizer = self._engine.open_vocabulary()
        padded, words = _padded(sound), []
        for begin in range(0, len(padded), SAMPLE_RATE // 4):
            words += recognizer.accept(padded[begin : begin + SAMPLE_RATE // 4].tobytes()) or []
        return " ".join(word.text for word in [*words, *recognizer.finish()])


class WhisperListener:
    """Whisper, run by faster-whisper from a folder on this machine; nothing is downloaded."""

    name = "Whisper"

    def __init__(self, folder: Path, language: str) -> None:
        """Load the model.

        Args:
            folder: a multilingual model in CTranslate2's format.
            language: "en" or "zh".

        Raises:
            MissingPackageError: faster-whisper is not installed, or zhconv for Chinese.
            InputError: the folder holds no such model.
        """
        _require("faster_whisper", "faster-whisper", "`pip install faster-whisper`")
        if language == "zh":  # Whisper writes traditional characters where it likes
            _require("zhconv", "zhconv", f"`{add_extra_command('corpus')}`")
        for name in _WHISPER_FILES:  # faster-whisper would fetch a missing tokenizer
            if not (folder / name).is_file():
                raise InputError(f"{folder} holds no Whisper model for CTranslate2: no {name}.")
        os.environ.update(HF_HUB_OFFLINE="1", **SILENT)  # it imports onnxruntime
        from faster_whisper import WhisperModel

        self._language = language
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", local_files_only=True
        )

    def hear(self, sound: Samples) -> str:
        """The text of a sound at 16 kHz; Chinese in simplified characters."""
        segments, _ = self._model.transcribe(
            _padded(sound).astype(np.float32) / 32_768,
            language=self._language,
            condition_on_previous_text=False,
            temperature=0.0,  # else it tries again at what nobody understands, for minutes
        )
        text = "".join(segment.text for segment in segments)
        if self._language != "zh":
            return text
        import zhconv

        return str(zhconv.convert(text, "zh-cn"))


def _padded(sound: Samples) -> Samples:
    silence = np.zeros(round(LEAD_SECONDS * SAMPLE_RATE), np.int16)
    return np.concatenate([silence, sound.astype(np.int16), silence])


def _require(module: str, package: str, remedy: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingPackageError(f"A recogniser needs {package}; {remedy} brings it.")


def units(text: str, language: str) -> list[str]:
    """The parts in which errors are counted: words of English, characters of Chinese.

    Case and punctuation do not count.
    """
    plain = re.sub(r"[^\w']|_", " ", text.casefold().replace("’", "'"))
    if LANGUAGES[language].word_space:
        return [found for word in plain.split() if (found := word.strip("'"))]
    return [character for character in plain if character.isalnum()]


def distance(wanted: Sequence[str], heard: Sequence[str]) -> int:
    """The Levenshtein distance: substitutions, deletions and insertions."""
    row = list(range(len(heard) + 1))
    for i, want in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, found in enumerate(heard, 1):
            change = before + (want != found)
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, change)
    return row[-1]
