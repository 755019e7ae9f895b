"""Each fault of a microphone is found in sound that has it, and logged once."""

import logging

import numpy as np
import pytest
import soxr

from audio.input.microphone_faults import MicrophoneMonitor, find_faults
from audio.pcm import SAMPLE_RATE, AudioChunk

SECONDS = 5
TIMES = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE


def speech() -> np.ndarray:
    """Noise of the loudness and spectrum of speech, in words of 0.3 s; from -1 to 1."""
    noise = np.fft.rfft(np.random.default_rng(0).normal(0, 1, len(TIMES)))
    hertz = np.fft.rfftfreq(len(TIMES), 1 / SAMPLE_RATE)
    shaped = np.fft.irfft(noise / (1 + (hertz / 500) ** 1.2) * (hertz > 120), len(TIMES))
    words = np.where(TIMES % 0.6 < 0.3, 1.0, 0.001)
    return 0.03 * shaped / shaped.std() * words


def narrow(sound: np.ndarray) -> np.ndarray:
    return np.asarray(soxr.resample(soxr.resample(sound, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE))


def sine(hertz: float, rms: float) -> np.ndarray:
    return rms * np.sqrt(2) * np.sin(2 * np.pi * hertz * TIMES)


def pcm(sound: np.ndarray) -> bytes:
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes()


CASES = {
    "well": (speech(), []),
    "muted": (np.zeros(len(TIMES)), ["muted"]),
    "muted with an offset": (np.full(len(TIMES), 0.03), ["muted"]),
    "distorted": (30 * (speech() - speech().mean()), ["distorted"]),
    "offset": (speech() - 0.03, ["offset"]),
    "hum 50": (speech() + sine(50, 0.06), ["hum"]),
    "hum 60": (speech() + sine(60, 0.03) + sine(120, 0.03), ["hum"]),
    "a weak hum": (speech() + sine(50, 0.002), []),
    "another tone": (speech() + sine(75, 0.06), []),
    "quiet": (speech() / 100, ["quiet"]),
    "telephone": (narrow(speech()), ["telephone"]),
    "a quiet telephone that hums": (narrow(speech()) / 10 + sine(50, 0.01), ["hum", "telephone"]),
}


@pytest.mark.parametrize("name", CASES)
def test_faults_are_found_where_they_are(name: str) -> None:
    sound, kinds = CASES[name]
    assert [fault.kind for fault in find_faults(pcm(sound))] == kinds


def test_the_mains_and_the_share_are_named() -> None:
    (hum,) = find_faults(pcm(speech() + sine(60, 0.06)))
    assert hum.seen == "hums at 60 Hz, at a level of -24 dB"
    (offset,) = find_faults(pcm(speech() - 0.03))
    assert "-3 % of full scale" in offset.seen


def logged(caplog: pytest.LogCaptureFixture, sound: np.ndarray, windows: int) -> list[str]:
    monitor, data = MicrophoneMonitor(), pcm(sound) * windows
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for at in range(0, len(data), 1024):
            monitor.feed(AudioChunk(data[at : at + 1024], SAMPLE_RATE, at / 2 / SAMPLE_RATE))
    return [record.getMessage() for record in caplog.records]


def test_what_lasts_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    hums = speech() + sine(50, 0.06)
    assert logged(caplog, hums, 2) == []
    assert logged(caplog, hums, 9) == [
        "The microphone hums at 50 Hz, at a level of -24 dB; "
        "move it and its cable away from power supplies, or use another socket."
    ]


def test_a_quiet_microphone_is_told_from_a_quiet_room(caplog: pytest.LogCaptureFixture) -> None:
    room = np.random.default_rng(0).normal(0, 0.0003, len(TIMES))
    assert logged(caplog, room, 9) == []
    assert "is very quiet" in logged(caplog, speech() / 100, 9)[0]


def test_silence_is_left_to_the_report_of_the_state(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(caplog, np.zeros(len(TIMES)), 9) == []
