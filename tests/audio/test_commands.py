"""Voice commands, spoken by the speech engine and heard by the real recogniser; and as text."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soxr

from audio.commands import (
    CommandDetector,
    CommandRescorer,
    SeedCommands,
    SpokenCommand,
    commands_in_text,
)
from audio.events import Event, Paused, Seed, TriggerSuspected, VoiceCommand
from audio.input.file import WavFile
from audio.pcm import SAMPLE_RATE, AudioChunk
from audio.phrases import bare, parse_phrases
from audio.recognition import AudioRecognition, open_recognition
from audio.stt.vosk_engine import VoskEngine
from audio.tts.engine import SpeechEngine
from audio.vad import VoiceDetector
from config.load import load
from tests.audio.conftest import RECORDINGS

Heard = list[tuple[float, TriggerSuspected | VoiceCommand]]


# Without a trigger


def hear(engine: VoskEngine, text: str) -> tuple[float, Heard]:
    """When the words end, in seconds, and what was heard when."""
    with closing(SpeechEngine("en-us+f3", 150, 0.9)) as speech:
        words = soxr.resample(speech.synthesize(text), speech.rate, SAMPLE_RATE)
    end = 1.0 + len(words) / SAMPLE_RATE
    room = np.random.default_rng(0).normal(0, 16, int((end + 2.0) * SAMPLE_RATE))
    room[SAMPLE_RATE : SAMPLE_RATE + len(words)] += words
    commands = [
        SpokenCommand(kind, phrase)
        for kind, texts in (("stop", ["stop", "be quiet"]), ("again", ["say it again"]))
        for phrase in parse_phrases(texts, engine.knows, engine.vocabulary)
    ]
    detector = CommandDetector(engine, commands, VoiceDetector(), 0.0)
    pcm = room.astype("<i2")
    blocks = ((at + 1280, pcm[at : at + 1280].tobytes()) for at in range(0, len(pcm), 1280))
    return end, [
        (at / SAMPLE_RATE, said) for at, block in blocks if (said := detector.process(block))
    ]


@pytest.mark.parametrize("phrase", ["stop", "be quiet"])
def test_a_stop_phrase_is_noticed_before_it_is_certain(engine: VoskEngine, phrase: str) -> None:
    end, ((noticed, coming), (certain, said)) = hear(engine, phrase)
    assert coming == TriggerSuspected(phrase)
    assert noticed <= end + 0.1
    assert isinstance(said, VoiceCommand)
    assert (said.kind, said.phrase) == ("stop", phrase)
    assert end < certain < end + 0.6


def test_after_other_words_it_is_taken_only_when_certain(engine: VoskEngine) -> None:
    _, heard = hear(engine, "please would you stop")
    assert [said.kind for _, said in heard if isinstance(said, VoiceCommand)] == ["stop"]
    assert len(heard) == 1


def test_other_commands_are_taken_only_when_certain(engine: VoskEngine) -> None:
    _, heard = hear(engine, "say it again")
    assert [type(said) for _, said in heard] == [VoiceCommand]


# Rescoring

RESCORED = ["go on", "tell me more", "never mind", "forget it", "say it again"]


@pytest.fixture(scope="module")
def rescorer(engine: VoskEngine) -> CommandRescorer:
    return CommandRescorer(engine, parse_phrases(RESCORED, engine.knows, engine.vocabulary))


def spoken(voice: str, text: str) -> bytes:
    with closing(SpeechEngine(voice, 150, 0.9)) as speech:
        words = soxr.resample(speech.synthesize(text), speech.rate, SAMPLE_RATE)
    room = np.random.default_rng(0).normal(0, 16, len(words) + SAMPLE_RATE // 2)
    room[: len(words)] += words
    return bytes(room.astype("<i2").tobytes())


@pytest.mark.parametrize("voice", ["en-us+m7", "en-us+f3", "en-gb-x-rp"])
def test_a_misheard_command_is_found(rescorer: CommandRescorer, voice: str) -> None:
    for command in ("go on", "never mind"):
        assert rescorer.rescored("don't", spoken(voice, command)) == command


def test_other_short_seeds_stay_what_they_are(rescorer: CommandRescorer) -> None:
    for seed in ("the dog", "my mind", "once upon", "the moon", "gone home"):
        assert rescorer.rescored(seed, spoken("en-us", seed)) == seed


def test_longer_seeds_and_commands_are_not_heard_again(engine: VoskEngine) -> None:
    check = CommandRescorer(engine, parse_phrases(["go on"], engine.knows, engine.vocabulary))
    sound = spoken("en-us+m7", "go on")  # the same each time; +f3 is not
    assert check.rescored("it goes on and on", sound) == "it goes on and on"
    assert check.rescored("don't", sound) == "go on"
    assert CommandRescorer(engine, []).rescored("don't", sound) == "don't"


# Seeds that are commands, as text


ENGLISH = commands_in_text({"go on": ["go on"], "again": ["Again!"], "never mind": ["never mind"]})
CHINESE = commands_in_text({"go on": ["继续"], "never mind": ["算了"]})


@pytest.mark.parametrize(
    ("book", "text", "kind"),
    [
        (ENGLISH, "go on", "go on"),
        (ENGLISH, "again", "again"),
        (ENGLISH, "never mind", "never mind"),
        (ENGLISH, "the old man went oh never mind", "never mind"),
        (ENGLISH, "never mind the weather", None),
        (ENGLISH, "they go on", None),
        (ENGLISH, "once again", None),
        (CHINESE, "继续", "go on"),
        (CHINESE, "继 续", "go on"),
        (CHINESE, "春天继续", None),
    ],
)
def test_whole_seeds_are_commands(book: SeedCommands, text: str, kind: str | None) -> None:
    command = book.find(text)
    assert (command and command.kind) == kind


def test_the_command_names_the_phrase_of_the_settings() -> None:
    command = ENGLISH.find("again")
    assert command is not None
    assert command.phrase.text == "Again!"


def test_a_capture_is_a_seed_or_a_command() -> None:
    assert ENGLISH.event("They go on.", 2.5) == Seed("They go on.", 2.5)
    assert ENGLISH.event("Go on!", 2.5) == VoiceCommand("go on", "go on", True, 2.5)


def test_words_as_a_recogniser_writes_them() -> None:
    assert bare('"Hey, Computer!" it\'s') == "hey computer it's"
    assert bare("你好, 电脑。") == "你好电脑"


# After a trigger, through the whole recognition


def open_with(model: Path, commands: Mapping[str, Sequence[str]]) -> AudioRecognition:
    settings = load(None, ()).settings
    return open_recognition(model, settings.trigger, settings.seed, "en", commands)


def events_after_trigger(recognition: AudioRecognition, text: str) -> list[Event]:
    with WavFile(RECORDINGS / "pause.wav").open() as chunks:
        pcm = b"".join(chunk.pcm for chunk in chunks)[: 2 * round(1.7 * SAMPLE_RATE)]
    sound = pcm + spoken("en-us+m7", text) + bytes(2 * 3 * SAMPLE_RATE)
    events: list[Event] = []
    for at in range(0, len(sound), 1024):
        block = sound[at : at + 1024]
        end = 100 + (at + len(block)) / 2 / SAMPLE_RATE
        events += recognition.feed(AudioChunk(block, SAMPLE_RATE, end))
    return events


def test_a_command_after_a_trigger_takes_the_place_of_seed_and_pauses(vosk_en: Path) -> None:
    phrases = {"go on": ["go on"], "never mind": ["never mind"]}
    events = events_after_trigger(open_with(vosk_en, phrases), "go on")
    (command,) = (event for event in events if isinstance(event, VoiceCommand))
    assert (command.kind, command.phrase, command.after_trigger) == ("go on", "go on", True)
    assert 101.8 < command.at_seconds < 103.0
    assert not [event for event in events if isinstance(event, Seed | Paused)]


def test_without_phrases_the_same_words_are_a_seed(vosk_en: Path) -> None:
    events = events_after_trigger(open_with(vosk_en, {}), "go on")
    assert [type(event) for event in events if isinstance(event, Seed | VoiceCommand)] == [Seed]
    assert [event for event in events if isinstance(event, Paused)]


def test_never_mind_at_the_end_withdraws_a_seed(vosk_en: Path) -> None:
    recognition = open_with(vosk_en, {"never mind": ["never mind"]})
    events = events_after_trigger(recognition, "the old man went home, never mind")
    (command,) = (event for event in events if isinstance(event, VoiceCommand))
    assert (command.kind, command.after_trigger) == ("never mind", True)
    assert not [event for event in events if isinstance(event, Seed)]
