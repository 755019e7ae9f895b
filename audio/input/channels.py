"""Mixes channels to mono, also those of opposite sign, which would cancel each other."""

from typing import Any

_MEMORY_SECONDS = 1.0  # of the sound that decides about the signs
_OPPOSITE = -0.5  # correlation with the reference; of the same sound it is 1 or -1
_LOUD_ENOUGH = 0.1  # of the loudest channel's power, to be the reference


class ChannelMixer:
    """A streaming mixer: the mean of all channels, after those of opposite sign are turned.

    A microphone with a balanced cable gives such channels at an input for two unbalanced ones, as
    does a cable that is soldered the wrong way round.
    """

    def __init__(self, rate: int) -> None:
        """`rate` is that of the sound, in samples per second."""
        self._rate = rate
        self._products: Any = 0.0  # (channels, channels), summed over the remembered samples
        self._signs: Any = None  # (channels,)

    def mix(self, block: Any) -> Any:
        """The mono sound, (frames,), of the next block, (frames, channels) floats.

        Where a sign changes, the block fades from the old mixture to the new one.
        """
        import numpy as np

        # Steps from sample to sample, for in them hum and offset count little beside speech.
        steps = np.diff(block.astype(np.float64), axis=0)
        decay = np.exp(-len(block) / (_MEMORY_SECONDS * self._rate))
        self._products = decay * self._products + steps.T @ steps
        signs = _signs(self._products)
        before = signs if self._signs is None else self._signs
        self._signs = signs
        if np.array_equal(before, signs):
            return (block * signs).mean(axis=1, dtype=block.dtype)
        fade = np.linspace(0, 1, len(block), dtype=block.dtype)[:, None]
        return (block * (before + fade * (signs - before))).mean(axis=1, dtype=block.dtype)


def _signs(products: Any) -> Any:
    """For each channel -1 if it has the opposite sign of the first channel that is loud, else 1."""
    import numpy as np

    power = np.diag(products)
    reference = int(np.argmax(power >= _LOUD_ENOUGH * power.max()))
    # products / sqrt(power * power) is the correlation.
    limit = _OPPOSITE * np.sqrt(power[reference] * power)
    return np.where(products[reference] < limit, np.float32(-1), np.float32(1))
