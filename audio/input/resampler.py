"""Sound of any rate and number of channels to what the recogniser wants: mono, 16 bits, 16 kHz."""

from typing import Any

from audio.pcm import SAMPLE_RATE

_FULL_SCALE = 32768


class Resampler:
    """Streams float samples, -1 to 1, of any rate to 16-bit ones at 16 kHz."""

    def __init__(self, rate: int) -> None:
        import soxr

        # LQ: aliasing below -100 dB, which is far under any microphone; QQ is not.
        self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="LQ")
        self._same = rate == SAMPLE_RATE

    def convert(self, samples: Any, last: bool = False) -> bytes:
        """The next samples, floats or 16 bits, (frames,) or (frames, channels), which are mixed.

        Some are held back until more come.
        """
        import numpy as np

        if samples.dtype == np.int16:
            samples = samples.astype("float32") / _FULL_SCALE
        if samples.ndim == 2:
            samples = samples.mean(axis=1)
        if not self._same:
            samples = self._stream.resample_chunk(samples, last=last)
        samples = np.nan_to_num(samples * _FULL_SCALE)  # float files may hold anything
        return bytes(np.clip(np.rint(samples), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2"))

    def rest(self) -> bytes:
        """What was held back."""
        import numpy as np

        return self.convert(np.zeros(0, dtype="float32"), last=True)
