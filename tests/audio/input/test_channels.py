"""Channels of one microphone, in the ways in which cables and interfaces give them."""

import numpy as np
import numpy.typing as npt
import pytest

from audio.input.channels import ChannelMixer
from tests.audio.tones import RATE, tone

BLOCK = 512  # frames
Sound = npt.NDArray[np.float64]
VOICE = np.random.default_rng(1).normal(0, 0.1, RATE)
NOISE = np.random.default_rng(2).normal(0, 0.01, (2, RATE))
HUM = 0.2 * np.sin(2 * np.pi * 50 * np.arange(RATE) / RATE)


def mixed(*channels: Sound) -> Sound:
    sound = np.column_stack(channels).astype("float32")
    mixer = ChannelMixer(RATE)
    return np.concatenate(
        [mixer.mix(sound[at : at + BLOCK]) for at in range(0, len(sound), BLOCK)]
    ).astype(float)


@pytest.mark.parametrize(
    ("channels", "share"),
    [
        ((VOICE, VOICE), 1),
        ((VOICE, -VOICE), 1),
        ((-VOICE, VOICE), 1),
        ((VOICE, -0.3 * VOICE), 0.65),
        ((VOICE + NOISE[0], -VOICE + NOISE[1]), 1),
        ((VOICE, 0 * VOICE), 0.5),
        ((0 * VOICE, VOICE), 0.5),
        ((0 * VOICE, VOICE, -VOICE), 2 / 3),
        ((VOICE, -VOICE, VOICE, -VOICE, VOICE, -VOICE), 1),
        ((VOICE + HUM, -VOICE + HUM), 1),
        ((VOICE + 0.5, -VOICE - 0.3), 1),
    ],
)
def test_no_channel_cancels_another(channels: tuple[Sound, ...], share: float) -> None:
    sound = mixed(*channels)
    likeness = np.corrcoef(np.diff(sound), np.diff(VOICE))[0, 1]
    assert abs(likeness) > 0.95
    assert np.std(np.diff(sound)) == pytest.approx(share * np.std(np.diff(VOICE)), rel=0.1)


def test_different_sounds_are_added_as_they_are() -> None:
    other = np.random.default_rng(3).normal(0, 0.1, RATE)
    assert np.allclose(mixed(VOICE, other), (VOICE + other) / 2, atol=1e-6)


def test_digital_silence_stays_silent() -> None:
    assert not mixed(0 * VOICE, 0 * VOICE).any()


def test_a_sign_that_changes_makes_no_click() -> None:
    low = 0.5 * np.sin(2 * np.pi * 100 * np.arange(4 * RATE) / RATE)
    jump = RATE - 1  # the second channel jumps there, where it is 0
    sound = mixed(low, np.where(np.arange(4 * RATE) <= jump, low, -low))
    assert np.abs(np.diff(sound)).max() < 2 * np.abs(np.diff(low)).max()
    assert np.std(sound[:RATE]) == pytest.approx(np.std(low), rel=0.05)
    assert np.std(sound[-RATE:]) == pytest.approx(np.std(low), rel=0.05)


def test_blocks_of_any_length_are_mixed() -> None:
    mixer = ChannelMixer(RATE)
    for frames in (1, 2, 5000):
        block = np.column_stack([tone(RATE)[:frames]] * 2).astype("float32")
        assert np.allclose(mixer.mix(block), block[:, 0])
