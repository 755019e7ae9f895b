"""Phrases that need no trigger, spoken by the speech engine and heard by the real recogniser."""

from contextlib import closing

import numpy as np
import pytest
import soxr

from audio.commands import CommandDetector, SpokenCommand
from audio.events import Command, TriggerSuspected
from audio.phrases import parse_phrases
from audio.stt.vosk_engine import RATE, VoskEngine
from audio.tts.engine import SpeechEngine
from audio.vad import VoiceDetector

Heard = list[tuple[float, TriggerSuspected | Command]]


def hear(engine: VoskEngine, text: str) -> tuple[float, Heard]:
    """When the words end, in seconds, and what was heard when."""
    with closing(SpeechEngine("en-us+f3", 150, 0.9)) as speech:
        words = soxr.resample(speech.synthesize(text), speech.rate, RATE)
    end = 1.0 + len(words) / RATE
    room = np.random.default_rng(0).normal(0, 16, int((end + 2.0) * RATE))
    room[RATE : RATE + len(words)] += words
    commands = [
        SpokenCommand(kind, phrase)
        for kind, texts in (("stop", ["stop", "be quiet"]), ("again", ["say it again"]))
        for phrase in parse_phrases(texts, engine.knows, engine.vocabulary)
    ]
    listener = CommandDetector(engine, commands, VoiceDetector(), 0.0)
    pcm = room.astype("<i2")
    blocks = ((at + 1280, pcm[at : at + 1280].tobytes()) for at in range(0, len(pcm), 1280))
    return end, [(at / RATE, said) for at, block in blocks if (said := listener.accept(block))]


@pytest.mark.parametrize("phrase", ["stop", "be quiet"])
def test_a_stop_phrase_is_noticed_before_it_is_certain(engine: VoskEngine, phrase: str) -> None:
    end, ((noticed, coming), (certain, said)) = hear(engine, phrase)
    assert coming == TriggerSuspected(phrase)
    assert noticed <= end + 0.1
    assert isinstance(said, Command)
    assert (said.kind, said.phrase) == ("stop", phrase)
    assert end < certain < end + 0.6


def test_after_other_words_it_is_taken_only_when_certain(engine: VoskEngine) -> None:
    _, heard = hear(engine, "please would you stop")
    assert [said.kind for _, said in heard if isinstance(said, Command)] == ["stop"]
    assert len(heard) == 1


def test_other_wishes_are_taken_only_when_certain(engine: VoskEngine) -> None:
    _, heard = hear(engine, "say it again")
    assert [type(said) for _, said in heard] == [Command]
