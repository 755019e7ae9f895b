"""The energy gate closes in a quiet room, and no phrase after the silence is lost."""

from pathlib import Path

import numpy as np
import pytest

from audio.pcm import SAMPLE_RATE
from audio.phrases import parse_phrases
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.detector import TriggerDetector
from audio.trigger.energy_gate import EnergyGate
from audio.vad import VoiceDetector
from tests.audio.test_recognition import samples

CHUNK = 1280


def noise(seconds: float, level: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, level, round(seconds * SAMPLE_RATE))


def opened(sound: np.ndarray) -> list[bool]:
    """For each chunk whether the gate is open."""
    gate, pcm = EnergyGate(), sound.astype("<i2")
    return [gate.accept(pcm[at : at + CHUNK].tobytes()) for at in range(0, len(pcm), CHUNK)]


@pytest.mark.parametrize("level", [0, 10, 1000])
def test_it_closes_in_steady_noise_and_in_none(level: float) -> None:
    assert not any(opened(noise(15, level))[-60:])


def test_it_is_open_while_it_does_not_know_the_room() -> None:
    assert all(opened(noise(4.9, 100)))


def test_it_opens_at_once_for_what_is_louder_and_stays_open_for_a_while() -> None:
    sound = noise(12, 100)
    sound[8 * SAMPLE_RATE : 9 * SAMPLE_RATE] *= 2
    heard = opened(sound)
    assert not heard[8 * SAMPLE_RATE // CHUNK - 1]
    assert all(heard[8 * SAMPLE_RATE // CHUNK : 10 * SAMPLE_RATE // CHUNK])
    assert not heard[-1]


def hum(seconds: float, rms: float) -> np.ndarray:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return rms * np.sqrt(2) * np.sin(2 * np.pi * 50 * times)


@pytest.mark.parametrize("added", [983.0, hum(20, 1000)], ids=["offset", "hum"])
def test_an_offset_or_a_hum_above_a_voice_does_not_hide_it(added: float | np.ndarray) -> None:
    sound = noise(20, 10)
    sound[15 * SAMPLE_RATE : 16 * SAMPLE_RATE] *= 30
    heard = opened(sound + added)
    assert not any(heard[10 * SAMPLE_RATE // CHUNK : 15 * SAMPLE_RATE // CHUNK])
    assert all(heard[15 * SAMPLE_RATE // CHUNK + 1 : 17 * SAMPLE_RATE // CHUNK])


def test_a_noise_that_begins_opens_it_until_it_is_known_and_a_voice_above_it_at_once() -> None:
    sound = noise(40, 10)
    sound[20 * SAMPLE_RATE :] *= 20  # a fan is switched on
    sound[35 * SAMPLE_RATE : 36 * SAMPLE_RATE] *= 2.5
    heard = opened(sound)
    assert not any(heard[18 * SAMPLE_RATE // CHUNK : 20 * SAMPLE_RATE // CHUNK])
    assert all(heard[20 * SAMPLE_RATE // CHUNK : 25 * SAMPLE_RATE // CHUNK - 1])
    assert not any(heard[27 * SAMPLE_RATE // CHUNK : 35 * SAMPLE_RATE // CHUNK])
    assert all(heard[35 * SAMPLE_RATE // CHUNK + 1 : 37 * SAMPLE_RATE // CHUNK])


@pytest.mark.parametrize("level", [0, 16, 200])
def test_a_phrase_after_a_long_silence_is_heard_where_it_was_said(
    vosk_en: Path, level: float
) -> None:
    engine = VoskEngine(vosk_en, 0.2)
    phrases = parse_phrases(["hey computer"], engine.knows, engine.vocabulary)
    listener = TriggerDetector(engine, phrases, VoiceDetector())
    spoken = samples("trigger-then-silence.wav")[: round(2.5 * SAMPLE_RATE)]  # it ends at 1.5 s
    sound = noise(22.5, level)
    sound[10 * SAMPLE_RATE : round(12.5 * SAMPLE_RATE)] += spoken
    sound[20 * SAMPLE_RATE : round(22.5 * SAMPLE_RATE)] += spoken
    pcm = sound.astype("<i2")
    chunks = (pcm[at : at + CHUNK].tobytes() for at in range(0, len(pcm), CHUNK))
    hits = [hit for chunk in chunks if (hit := listener.process(chunk)[1])]
    assert [hit.end for hit in hits] == [
        pytest.approx(11.5, abs=0.15),
        pytest.approx(21.5, abs=0.15),
    ]
