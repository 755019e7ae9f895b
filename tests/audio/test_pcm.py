"""Levels of known sounds."""

import math

import numpy as np
import pytest

from audio.pcm import SILENCE_DB, level_db


def sine(amplitude: float) -> bytes:
    wave = amplitude * np.sin(np.arange(16_000) * 2 * np.pi * 100 / 16_000)
    return np.rint(wave * 32767).astype("<i2").tobytes()


def test_silence_and_nothing_at_all_are_as_low_as_it_goes() -> None:
    assert level_db(bytes(2560)) == SILENCE_DB
    assert level_db(b"") == SILENCE_DB


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.01])
def test_a_sine_is_three_decibels_below_its_peak(amplitude: float) -> None:
    below = 20 * math.log10(amplitude) - 3.01
    assert level_db(sine(amplitude)) == pytest.approx(below, abs=0.05)


def test_full_scale_is_zero() -> None:
    assert level_db(np.full(1000, -32768, "<i2").tobytes()) == 0.0
