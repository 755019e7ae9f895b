"""Phrases pass the likelihood-ratio test in real sound, other words fail; and its fillers."""

import struct
from pathlib import Path

import pytest

from audio.input.file import WavFile
from audio.pcm import AudioRingBuffer
from audio.phrases import Phrase
from audio.stt.vosk_engine import VoskEngine
from audio.stt.vosk_words import all_words, most_frequent
from audio.trigger.likelihood_ratio import LikelihoodRatio, earliest_start, onset
from tests.audio.conftest import RECORDINGS

HEY_COMPUTER = Phrase("hey computer", ("hey", "computer"))


def sound_of(file: Path) -> AudioRingBuffer:
    sound = AudioRingBuffer(30)
    with WavFile(file).open() as chunks:
        for chunk in chunks:
            sound.add(chunk.pcm)
    return sound


def passes(
    test: LikelihoodRatio, phrase: Phrase, sound: AudioRingBuffer, start: float, end: float
) -> bool:
    around = sound.since(earliest_start(phrase, start, end) - 0.5, end + 0.5)
    return test.passes(phrase, sound, start, end, test.begin(phrase, around))


def test_a_phrase_passes_where_it_was_said_only(engine: VoskEngine) -> None:
    test, sound = LikelihoodRatio(engine), sound_of(RECORDINGS / "one-breath.wav")
    assert passes(test, HEY_COMPUTER, sound, 0.55, 1.5)
    assert not passes(test, HEY_COMPUTER, sound, 1.6, 2.5)
    assert not passes(test, Phrase("view glass", ("view", "glass")), sound, 0.55, 1.5)


def test_silence_that_is_taken_for_a_part_of_a_phrase_does_not_fail_it(engine: VoskEngine) -> None:
    sound = AudioRingBuffer(30)
    sound.add(bytes(2 * 16000 * 3))
    sound.add(sound_of(RECORDINGS / "one-breath.wav").since(0.0))
    assert passes(LikelihoodRatio(engine), HEY_COMPUTER, sound, 0.5, 4.5)


@pytest.mark.parametrize("silence", [0.0, 0.5, 0.9])
def test_a_phrase_begins_at_its_first_loud_moment(silence: float) -> None:
    phrase = sound_of(RECORDINGS / "one-breath.wav").since(0.55, 1.5)
    sound = AudioRingBuffer(30)
    sound.add(bytes(2 * round(16000 * silence)))
    sound.add(phrase)
    assert onset(sound, 0.0, silence + 0.95) == pytest.approx(silence, abs=0.1)


def test_silence_has_no_onset() -> None:
    assert onset(AudioRingBuffer(30), 1.0, 2.0) == 1.0


def test_sentences_of_real_people_pass_for_no_phrase(engine: VoskEngine, real_voices: Path) -> None:
    test = LikelihoodRatio(engine)
    sentences = sorted(real_voices.glob("sentences/*.flac"))[::4]
    assert len(sentences) > 10
    for file in sentences:
        sound = sound_of(file)
        for phrase in (HEY_COMPUTER, Phrase("jarvis", ("jarvis",))):
            assert not passes(test, phrase, sound, 1.0, 1.8), file.name


def test_the_words_said_most_are_read_from_the_model(engine: VoskEngine) -> None:
    words = engine.frequent_words
    assert words[:3] == ["the", "and", "to"]
    assert len(words) == len(set(words)) == 3000
    assert all(map(engine.knows, words))


def test_chinese_words_are_read_as_well(vosk_zh: Path) -> None:
    words = VoskEngine(vosk_zh).frequent_words
    assert words[:3] == ["的", "我", "了"]
    assert len(words) == 3000


def test_another_kind_of_graph_tells_no_words(engine: VoskEngine) -> None:
    graph = (engine.folder / "graph" / "Gr.fst").read_bytes()
    assert len(all_words(graph)) > 100_000
    with pytest.raises(ValueError, match="no n-gram graph"):
        most_frequent(graph.replace(b"ngram", b"const", 1), 10)
    with pytest.raises((ValueError, struct.error)):
        most_frequent(graph[:7_000_000], 10)
    assert all_words(b"nothing") == []
