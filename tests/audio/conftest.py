"""Recordings of the repository, and of real people where the machine has them."""

import importlib.util
import os
from pathlib import Path

import pytest

from audio.stt.careful import model_files
from audio.stt.careful.whisper import WhisperRecognizer
from audio.stt.vosk_engine import VoskEngine

RECORDINGS = Path(__file__).parent.parent / "recordings"
SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"


@pytest.fixture(scope="session")
def real_voices() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"no recordings of real people at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def engine(vosk_en: Path) -> VoskEngine:
    return VoskEngine(vosk_en, 0.2)


@pytest.fixture(scope="session")
def whisper_en(real_data_folder: Path) -> WhisperRecognizer:
    """The careful recogniser for English, by the model that was fetched or another."""
    if importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("faster-whisper, of the extra `careful`, is not installed")
    fetched = real_data_folder / "whisper" / model_files.published().name
    folder = Path(os.environ.get("AFTERWORD_TEST_WHISPER", fetched))
    if model_files.missing_file(folder):
        pytest.skip(f"no Whisper model at {folder}; AFTERWORD_TEST_WHISPER may name one")
    return WhisperRecognizer(folder, "en")
