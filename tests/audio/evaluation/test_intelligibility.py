"""What a recogniser hears of speech: the parts that are counted, their errors, missing models."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from audio.evaluation.intelligibility import VoskListener, WhisperListener, distance, units
from audio.stt.vosk_engine import VoskEngine
from config.errors import InputError, MissingPackageError


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ('He said, "Don’t go!"', "en", ["he", "said", "don't", "go"]),
        ("the 'old' man - the sea", "en", ["the", "old", "man", "the", "sea"]),
        ("", "en", []),
        ("床前明月光，疑是地上霜。", "zh", list("床前明月光疑是地上霜")),
        ("床前 明月 光", "zh", list("床前明月光")),
        ("……！", "zh", []),
    ],
)
def test_words_or_characters_are_counted_without_punctuation(
    text: str, language: str, expected: list[str]
) -> None:
    assert units(text, language) == expected


@pytest.mark.parametrize(
    ("wanted", "heard", "errors"),
    [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("", "ab", 2), ("abc", "axcd", 2)],
)
def test_left_out_added_and_wrong_parts_are_errors(wanted: str, heard: str, errors: int) -> None:
    assert distance(wanted, heard) == distance(heard, wanted) == errors


def test_silence_holds_no_words(vosk_en: Path) -> None:
    assert units(VoskListener(VoskEngine(vosk_en)).hear(np.zeros(0, np.int16)), "en") == []


def test_whisper_needs_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match="pip install faster-whisper"):
        WhisperListener(tmp_path, "en")


def test_an_incomplete_whisper_model_is_refused_and_not_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    for name in ("model.bin", "config.json"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        WhisperListener(tmp_path, "zh")
