"""Wishes after a trigger, spoken by several voices and heard by the real recogniser."""

from contextlib import closing

import numpy as np
import pytest
import soxr

from audio.phrases import parse_phrases
from audio.spoken_wishes import CommandRescorer
from audio.stt.vosk_engine import RATE, VoskEngine
from audio.tts.engine import SpeechEngine

WISHES = ["go on", "tell me more", "never mind", "forget it", "say it again"]


@pytest.fixture(scope="module")
def wishes(engine: VoskEngine) -> CommandRescorer:
    return CommandRescorer(engine, parse_phrases(WISHES, engine.knows, engine.vocabulary))


def spoken(voice: str, text: str) -> bytes:
    with closing(SpeechEngine(voice, 150, 0.9)) as speech:
        words = soxr.resample(speech.synthesize(text), speech.rate, RATE)
    room = np.random.default_rng(0).normal(0, 16, len(words) + RATE // 2)
    room[: len(words)] += words
    return bytes(room.astype("<i2").tobytes())


@pytest.mark.parametrize("voice", ["en-us+m7", "en-us+f3", "en-gb-x-rp"])
def test_a_misheard_wish_is_found(wishes: CommandRescorer, voice: str) -> None:
    for wish in ("go on", "never mind"):
        assert wishes.meaning("don't", spoken(voice, wish)) == wish


def test_other_short_seeds_stay_what_they_are(wishes: CommandRescorer) -> None:
    for seed in ("the dog", "my mind", "once upon", "the moon", "gone home"):
        assert wishes.meaning(seed, spoken("en-us", seed)) == seed


def test_longer_seeds_and_wishes_are_not_heard_again(engine: VoskEngine) -> None:
    check = CommandRescorer(engine, parse_phrases(["go on"], engine.knows, engine.vocabulary))
    sound = spoken("en-us+f3", "go on")
    assert check.meaning("it goes on and on", sound) == "it goes on and on"
    assert check.meaning("don't", sound) == "go on"
    assert CommandRescorer(engine, []).meaning("don't", sound) == "don't"
