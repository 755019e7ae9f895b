"""Seeds heard again: the real Vosk model, with a second recogniser beside it."""

import os
import threading
from pathlib import Path

import pytest

from audio.events import Paused, Resumed, Seed, VoiceCommand
from audio.recognition import AudioRecognition, open_recognition
from audio.stt.careful import rehearing
from audio.stt.careful.rehearing import WordRecognizer
from audio.stt.careful.whisper import WhisperRecognizer
from config.load import load
from tests.audio.test_recognition import EXPECTED, feed, hear, in_two, of, samples, seeds

NAME = "pause.wav"


class Says:
    """Hears the same words in every sound; keeps the lengths of the sounds, in seconds."""

    def __init__(self, words: str) -> None:
        self.words = words
        self.lengths: list[float] = []

    def hear(self, pcm: bytes) -> str:
        self.lengths.append(len(pcm) / 2 / 16_000)
        return self.words


class Late(Says):
    """Hears nothing until it is let."""

    def __init__(self) -> None:
        super().__init__("late words")
        self.let = threading.Event()

    def hear(self, pcm: bytes) -> str:
        self.let.wait(60)
        return super().hear(pcm)


def careful(model: Path, recognizer: WordRecognizer, silence: float = 0.8) -> AudioRecognition:
    flags = [f"seed.silence_seconds={silence}"]
    settings = load(Path(os.devnull), flags, {}).settings
    commands = {"again": ["say it again"]}
    return open_recognition(model, settings.trigger, settings.seed, "en", commands, recognizer)


def test_the_seed_has_the_careful_words(vosk_en: Path) -> None:
    again = Says("a better hearing")
    events = hear(careful(vosk_en, again), samples(NAME))
    assert seeds(events) == ["a better hearing"]
    assert {event.text for _, event in of(Paused, events)} <= {"a better hearing"}
    (_, seed) = of(Seed, events)[0]
    assert isinstance(seed, Seed)
    assert seed.end_seconds == pytest.approx(5.0, abs=0.2)
    assert 3 < again.lengths[-1] < 4.5  # from the phrase's end at 1.5 s to the pause after 5 s


def test_a_late_recogniser_leaves_vosks_words(
    vosk_en: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearing, "WAIT_SECONDS", 0.1)
    late = Late()
    try:
        assert seeds(hear(careful(vosk_en, late), samples(NAME))) == EXPECTED[NAME]
    finally:
        late.let.set()


def test_the_careful_words_may_be_a_command(vosk_en: Path) -> None:
    events = hear(careful(vosk_en, Says("say it again")), samples(NAME))
    assert [event.kind for _, event in of(VoiceCommand, events)] == ["again"]
    assert not seeds(events)


def test_a_user_who_goes_on_while_the_words_are_awaited_has_one_seed(
    vosk_en: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearing, "WAIT_SECONDS", 60.0)
    late = Late()
    hearing = careful(vosk_en, late, silence=0.2)
    events = feed(hearing, in_two(1.2))
    assert not of(Seed, events)
    assert not of(Resumed, events)  # else the state machine would take back what it has not
    late.let.set()
    ended = hearing.finish()
    assert [event.text for event in ended if isinstance(event, Seed)] == ["late words"]
    assert late.lengths[-1] > late.lengths[0] + 1


@pytest.mark.slow
def test_whisper_hears_a_recording(vosk_en: Path, whisper_en: WhisperRecognizer) -> None:
    wanted = EXPECTED[NAME][0].split()
    heard = seeds(hear(careful(vosk_en, whisper_en), samples(NAME)))[0].split()
    assert len(set(wanted) & set(heard)) > len(set(wanted)) / 2
