"""Converts sound of any rate and number of channels to 16-bit mono at 16 kHz."""

from typing import Any

from audio.input.channels import ChannelMixer
from audio.pcm import SAMPLE_RATE

_FULL_SCALE = 32768


class Resampler:
    """A streaming converter of samples at one rate to 16-bit samples at 16 kHz."""

    def __init__(self, rate: int) -> None:
        import soxr

        # LQ has aliasing below -100 dB, which is far under any microphone's noise; QQ has not.
        self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="LQ")
        self._is_same_rate = rate == SAMPLE_RATE
        self._mixer = ChannelMixer(rate)

    def convert(self, samples: Any, last: bool = False) -> bytes:
        """Convert the next samples; some are held back until more come.

        Args:
            samples: float from -1 to 1, or int16; (frames,) or (frames, channels), which are mixed
                by a ChannelMixer. NaN is taken for silence.
            last: whether no more come, so that none is held back.

        Returns:
            16-bit little-endian samples.
        """
        import numpy as np

        if samples.dtype == np.int16:
            samples = samples.astype("float32") / _FULL_SCALE
        samples = np.nan_to_num(samples, posinf=1.0, neginf=-1.0)  # a float file may hold NaN
        if samples.ndim == 2 and len(samples):
            samples = self._mixer.mix(samples) if samples.shape[1] > 1 else samples[:, 0]
        if not self._is_same_rate:
            samples = self._stream.resample_chunk(samples, last=last)
        return bytes(
            np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
        )

    def rest(self) -> bytes:
        """The samples that were held back: no more come."""
        import numpy as np

        return self.convert(np.zeros(0, dtype="float32"), last=True)
