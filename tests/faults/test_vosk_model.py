"""Faults of the Vosk model: damaged at the start, and while it is in use."""

import os
import shutil
import wave
from pathlib import Path

import pytest

from audio.events import Seed
from audio.pcm import AudioChunk
from audio.recognition import AudioRecognition, open_recognition
from audio.stt import vosk_models
from config.errors import HearingModelError
from config.load import load
from tests.system.test_exchange import FOX, RECORDINGS


@pytest.fixture
def fetched(vosk_en: Path) -> Path:
    """A copy of the model, where fetched models lie."""
    folder = vosk_models.catalogue()["en"].folder
    shutil.copytree(vosk_en, folder)
    return folder


def heard(hearing: AudioRecognition) -> list[str]:
    with wave.open(str(RECORDINGS / "one-breath.wav")) as wav:
        sound = wav.readframes(wav.getnframes())
    events = []
    for end in range(2560, len(sound), 2560):
        chunk = AudioChunk(sound[end - 2560 : end], 16_000, end / 32_000)
        events += hearing.feed(chunk)
    events += hearing.finish()
    return [event.text for event in events if isinstance(event, Seed)]


def test_one_flipped_bit_in_any_file_is_found_at_the_start(fetched: Path) -> None:
    assert vosk_models.find("en") == fetched
    for number, file in enumerate(vosk_models.catalogue()["en"].files):
        path = fetched / file.path
        place = file.size * (number + 1) // 20
        with path.open("r+b") as content:
            content.seek(place)
            (byte,) = content.read(1)
            content.seek(place)
            content.write(bytes([byte ^ 4]))
        with pytest.raises(HearingModelError, match=rf"{file.path} is not as published.*fetch en"):
            vosk_models.find("en")
        with path.open("r+b") as content:
            content.seek(place)
            content.write(bytes([byte]))


def test_a_model_damaged_while_in_use_works_until_the_next_start(fetched: Path) -> None:
    settings = load(None, ()).settings
    hearing = open_recognition(fetched, settings.trigger, settings.seed, "en")
    for file in vosk_models.catalogue()["en"].files:
        path = fetched / file.path
        path.write_bytes(os.urandom(100))  # as a fetch that replaces it in place
    assert heard(hearing) == [FOX]
    assert heard(hearing.renewed(settings.trigger, settings.seed, "en")) == [FOX]
    shutil.rmtree(fetched)
    assert heard(hearing) == [FOX]
    with pytest.raises(HearingModelError, match="afterword models fetch en"):
        vosk_models.find("en")
