"""Recordings of the repository, and of real people where the machine has them."""

from pathlib import Path

import pytest

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
