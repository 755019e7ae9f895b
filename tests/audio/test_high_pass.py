"""The high-pass filter takes offset and hum, and leaves all above."""

import numpy as np
import pytest

from audio.high_pass import HighPass
from audio.pcm import SAMPLE_RATE

TIMES = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE


def filtered(sound: np.ndarray, block: int = 512) -> np.ndarray:
    high_pass, pcm = HighPass(100.0), np.rint(sound).astype("<i2")
    parts = [high_pass.filter(pcm[at : at + block].tobytes()) for at in range(0, len(pcm), block)]
    return np.frombuffer(b"".join(parts), "<i2")


@pytest.mark.parametrize(
    ("hertz", "gain_db"),
    # 1 / (1 + (100 / f)^4), the power that a Butterworth filter of second order lets pass.
    [(25, -24.1), (50, -12.3), (100, -3.0), (200, -0.3), (1000, 0.0), (7000, 0.0)],
)
def test_the_gain_is_that_of_a_butterworth_filter(hertz: float, gain_db: float) -> None:
    sound = 10_000 * np.sin(2 * np.pi * hertz * TIMES)
    steady = slice(SAMPLE_RATE, None)
    ratio = filtered(sound)[steady].std() / sound[steady].std()
    assert 20 * np.log10(ratio) == pytest.approx(gain_db, abs=0.1)


@pytest.mark.parametrize("block", [1, 100, 128, 333, 5000])
def test_the_blocks_make_no_difference(block: int) -> None:
    sound = np.random.default_rng(0).normal(900, 3000, 5000)
    assert np.array_equal(filtered(sound, block), filtered(sound))


def test_an_offset_is_gone_from_the_first_sample() -> None:
    assert not filtered(np.full(3000, 983.0)).any()


def test_no_sample_runs_over() -> None:
    swing = np.concatenate([np.full(2000, -32768.0), np.full(2000, 32767.0)])
    assert filtered(swing)[2000] == 32767


def test_after_a_reset_the_sound_before_is_forgotten() -> None:
    high_pass, pcm = HighPass(100.0), np.full(512, 20_000, "<i2").tobytes()
    high_pass.filter(bytes(1024))
    assert any(high_pass.filter(pcm))
    high_pass.reset()
    assert not any(high_pass.filter(pcm))


def test_nothing_gives_nothing() -> None:
    assert HighPass(100.0).filter(b"") == b""
