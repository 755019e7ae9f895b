"""Sound of any rate, type and number of channels becomes 16-bit mono at 16 kHz."""

import numpy as np
import numpy.typing as npt
import pytest

from audio.input.resampler import Resampler
from tests.audio.tones import RATE, TONE_HZ, pitch, tone

Floats = npt.NDArray[np.float64]


def converted(resampler: Resampler, *blocks: npt.NDArray[np.generic]) -> npt.NDArray[np.int16]:
    pcm = b"".join(resampler.convert(block) for block in blocks) + resampler.rest()
    return np.frombuffer(pcm, "<i2")


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 192_000])
def test_pitch_length_and_level_stay(rate: int) -> None:
    sound = converted(Resampler(rate), tone(rate, 1.0).astype("float32"))
    assert len(sound) == pytest.approx(RATE, abs=2)
    assert pitch(sound) == pytest.approx(TONE_HZ, abs=2)
    assert np.abs(sound[2000:-2000]).max() == pytest.approx(16_384, rel=0.02)


@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_blocks_give_the_same_as_the_whole(rate: int) -> None:
    whole = tone(rate, 1.0).astype("float32")
    blocks = np.split(whole, [1, 500, 501, 1000, 9000])
    assert np.array_equal(converted(Resampler(rate), whole), converted(Resampler(rate), *blocks))


def test_samples_that_are_held_back_come_with_the_rest() -> None:
    resampler = Resampler(48_000)
    first = resampler.convert(tone(48_000, 0.1).astype("float32"))
    rest = resampler.rest()
    assert len(first) < 2 * 1600
    assert (len(first) + len(rest)) / 2 == pytest.approx(1600, abs=2)


def test_nothing_is_held_back_at_the_same_rate() -> None:
    resampler = Resampler(RATE)
    samples = np.array([0.0, 0.5, -1.0], "float32")
    assert np.frombuffer(resampler.convert(samples), "<i2").tolist() == [0, 16_384, -32_768]
    assert resampler.rest() == b""


def test_16_bit_samples_pass_unchanged() -> None:
    samples = np.array([-32_768, -1, 0, 1, 32_767], "<i2")
    assert converted(Resampler(RATE), samples).tolist() == samples.tolist()


@pytest.mark.parametrize("kind", ["float32", "int16"])
def test_channels_are_mixed_to_their_mean(kind: str) -> None:
    full = 1.0 if kind == "float32" else 32_768
    both = np.array([[0.5, 0.25], [0.5, -0.5], [-0.25, -0.75]]) * full
    assert converted(Resampler(RATE), both.astype(kind)).tolist() == [12_288, 0, -16_384]


def test_too_loud_is_clipped_and_what_is_no_number_is_silent() -> None:
    samples = np.array([1.5, -1.5, np.nan, 1.0], "float32")
    assert converted(Resampler(RATE), samples).tolist() == [32_767, -32_768, 0, 32_767]


def test_floats_are_rounded_to_the_nearest_step() -> None:
    samples = np.array([0.4, 0.6, -0.4, -0.6], "float32") / 32_768
    assert converted(Resampler(RATE), samples).tolist() == [0, 1, 0, -1]


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    time = np.arange(48_000) / 48_000
    high = (0.5 * np.sin(2 * np.pi * 12_000 * time)).astype("float32")
    assert np.abs(converted(Resampler(48_000), high)[500:-500]).max() <= 2
