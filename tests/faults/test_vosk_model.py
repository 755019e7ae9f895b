"""Faults of the Vosk model: files damaged before the start and while it is in use."""

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
    """A copy of the model in the folder of fetched models."""
    folder = vosk_models.catalogue()["en"].folder
    shutil.copytree(vosk_en, folder)
    return folder


def seeds(recognition: AudioRecognition) -> list[str]:
    with wave.open(str(RECORDINGS / "one-breath.wav")) as wav:
        sound = wav.readframes(wav.getnframes())
    events = []
    for end in range(2560, len(sound), 2560):
        chunk = AudioChunk(sound[end - 2560 : end], 16_000, end / 32_000)
        events += recognition.feed(chunk)
    events += recognition.finish()
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
    recognition = open_recognition(fetched, settings.trigger, settings.seed, "en")
    for file in vosk_models.catalogue()["en"].files:
        path = fetched / file.path
        path.write_bytes(os.urandom(100))  # as if a fetch replaced it in place
    assert seeds(recognition) == [FOX]
    assert seeds(recognition.with_settings(settings.trigger, settings.seed, "en")) == [FOX]
    shutil.rmtree(fetched)
    assert seeds(recognition) == [FOX]
    with pytest.raises(HearingModelError, match="afterword models fetch en"):
        vosk_models.find("en")
