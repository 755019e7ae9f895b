"""Judging a trigger phrase: as text, in noise, and by counting."""

from pathlib import Path

import numpy as np
import pytest

from audio.evaluation.trigger_score import (
    FalseAccepts,
    Noise,
    babble,
    count_false_accepts,
    count_false_rejects,
    poisson_bound,
    read_folder,
)
from audio.events import Event
from audio.pcm import SAMPLE_RATE, AudioChunk
from audio.phrases import Phrase, phrase_weakness, syllables
from config.errors import InputError
from tests.audio.conftest import RECORDINGS
from tests.audio.test_recognition import make, quiet, samples


def phrase(text: str) -> Phrase:
    return Phrase(text, tuple(text.split()))


def test_good_phrases_are_not_doubted() -> None:
    for text in ("hey computer", "tell me a story", "captain nemo listen", "hello terminator"):
        assert phrase_weakness(phrase(text)) is None
    assert phrase_weakness(Phrase("你好电脑", ("你好", "电脑"))) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("jarvis", "single word"),
        ("thinks", 'common word "think"'),
        ("good morning", "everyday talk"),
        ("view glass", "fewer than 4 syllables"),
    ],
)
def test_weak_phrases_are_told_why(text: str, why: str) -> None:
    assert why in (phrase_weakness(phrase(text)) or "")


def test_syllables_of_words_with_silent_letters() -> None:
    words = {"computer": 3, "smart": 1, "machine": 2, "amazed": 2, "wanted": 2, "table": 2}
    words |= {"houses": 2, "the": 1, "电脑": 2, "banana": 3}
    assert {word: syllables(word) for word in words} == words


def test_bounds_are_those_of_poisson_tables() -> None:
    assert [round(poisson_bound(count), 2) for count in (0, 1, 2, 5)] == [3.0, 4.74, 6.3, 10.51]
    assert FalseAccepts(1, 2.0).bound == pytest.approx(2.37, abs=0.01)
    assert FalseAccepts(1, 2.0).rate == 0.5


def test_noise_is_so_much_quieter_than_the_recording() -> None:
    class Microphone:
        """Stands in for the hearing and keeps what it was fed."""

        def __init__(self) -> None:
            self.pcm = b""

        def feed(self, chunk: AudioChunk) -> list[Event]:
            self.pcm += chunk.pcm
            return []

    draw = np.random.default_rng(1)
    clip = np.concatenate([quiet(1), draw.normal(0, 4000, SAMPLE_RATE).astype(np.int16), quiet(1)])
    noise = Noise(draw.normal(0, 500, 2 * SAMPLE_RATE).astype(np.int16), 10)
    clean, noisy = Microphone(), Microphone()
    count_false_rejects(clean, [clip])  # type: ignore[arg-type]
    count_false_rejects(noisy, [clip], noise)  # type: ignore[arg-type]
    added = np.frombuffer(noisy.pcm, "<i2").astype(float) - np.frombuffer(clean.pcm, "<i2")
    ratio = np.sqrt(np.mean(clip.astype(float) ** 2) / np.mean(added**2))
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=0.1)
    assert np.abs(added[-SAMPLE_RATE:]).mean() > 100  # it goes on in the pause


def test_babble_is_of_all_sounds_and_long_enough() -> None:
    tones = [
        (3000 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)
        for hertz in (200, 300, 400, 500, 600, 700)
    ]
    sound = babble(tones)
    assert len(sound) == 30 * SAMPLE_RATE
    strong = np.abs(np.fft.rfft(sound[:SAMPLE_RATE])) > 1e5
    assert np.flatnonzero(strong).tolist() == [200, 300, 400, 500, 600, 700]


def test_a_folder_is_read_with_those_below_it(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "one.wav").symlink_to(RECORDINGS / "pause.wav")
    (tmp_path / "two.WAV").symlink_to(RECORDINGS / "stereo-44100.wav")
    (tmp_path / "notes.txt").write_text("no sound")
    assert [len(sound) / SAMPLE_RATE for sound in read_folder(tmp_path)] == pytest.approx(
        [6.4, 5.6], abs=2
    )
    with pytest.raises(InputError, match="holds no recordings"):
        read_folder(tmp_path / "nothing")


def test_what_is_heard_and_what_is_not_is_counted(vosk_en: Path) -> None:
    hearing = make(vosk_en, cooldown=0.0)
    said, other = samples("pause.wav")[: round(1.6 * SAMPLE_RATE)], samples("no-trigger.wav")
    heard = count_false_rejects(hearing, [said, other])
    assert (heard.clips, heard.missed) == (2, 1)
    assert 0.1 < heard.delays[0] <= 0.5
    mistaken = count_false_accepts(hearing, [said, other, said])
    assert mistaken.count == 2
    assert mistaken.hours == pytest.approx((2 * len(said) + len(other)) / SAMPLE_RATE / 3600)
