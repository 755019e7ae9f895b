"""The careful recogniser: its words, on real speech where faster-whisper and a model are here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from audio.evaluation.intelligibility import distance
from audio.stt.careful import model_files
from audio.stt.careful.whisper import WhisperRecognizer
from config.errors import HearingModelError, MissingPackageError


@pytest.mark.slow
def test_read_sentences_are_heard_with_few_errors_and_no_loop(
    whisper_en: WhisperRecognizer, real_voices: Path
) -> None:
    folder = real_voices / "sentences"
    soundfile = pytest.importorskip("soundfile")
    lines = (folder / "transcripts.tsv").read_text("utf-8").splitlines()
    names = ("2609-156975-0001", "3080-5032-0000", "367-130732-0000", "1688-142285-0005")
    errors = words = 0
    for name, text in (line.split("\t") for line in lines):
        if Path(name).stem not in names:
            continue
        sound, _ = soundfile.read(folder / f"{Path(name).stem}.flac", dtype="int16")
        heard = whisper_en.hear(sound.tobytes())
        assert heard == heard.lower()
        errors += distance(text.lower().split(), heard.split())
        words += len(text.split())
    assert words > 0
    assert errors < 0.2 * words


@pytest.mark.slow
def test_silence_is_heard_as_hardly_a_word(whisper_en: WhisperRecognizer) -> None:
    assert len(whisper_en.hear(np.zeros(32_000, np.int16).tobytes()).split()) <= 3


@pytest.mark.slow
def test_a_broken_model_is_named(whisper_en: WhisperRecognizer, tmp_path: Path) -> None:
    for name in model_files.WHISPER_FILES:
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(HearingModelError, match=r"cannot be loaded.*hearing\.seed to vosk"):
        WhisperRecognizer(tmp_path, "en")


@pytest.mark.parametrize(
    ("language", "package"), [("en", "faster-whisper"), ("zh", "faster-whisper")]
)
def test_the_missing_package_is_named_with_the_command(
    language: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(model_files, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=rf"needs {package}; .*faster-whisper"):
        WhisperRecognizer(tmp_path, language)


def test_chinese_needs_simplified_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec("json")
    monkeypatch.setattr(model_files, "find_spec", lambda name: None if name == "zhconv" else found)
    model_files.require_package("en")
    with pytest.raises(MissingPackageError, match="needs zhconv"):
        model_files.require_package("zh")
