"""Converts the sound of clients, of any format, to that of the recogniser."""

import numpy as np
import numpy.typing as npt
from wyoming.event import Event

from audio.input.resampler import Resampler
from daemon.wyoming.events import InvalidEventError

_RATES = range(4000, 384_001)  # samples per second; fewer are no speech
_CHANNELS = range(1, 33)
_WIDTHS = range(1, 5)


class Converter:
    """Converts sound of any rate, width and number of channels to 16-bit mono at 16 kHz."""

    def __init__(self) -> None:
        self._format: tuple[int, int, int] | None = None  # rate, width, channels
        self._resampler: Resampler | None = None
        self._cut = b""  # of a frame that is not whole yet

    def convert(self, event: Event) -> bytes:
        """The samples of an `audio-chunk`; some are held back until more come.

        Raises:
            InvalidEventError: the format is none.
        """
        found = _format(event)
        before = b""
        if found != self._format:  # it may change within a sound
            before = self.rest()
            self._format, self._cut, self._resampler = found, b"", Resampler(found[0])
        assert self._resampler is not None  # noqa: S101
        _, width, channels = found
        data = self._cut + (event.payload or b"")
        whole = len(data) - len(data) % (width * channels)
        self._cut = data[whole:]
        samples = _samples(data[:whole], width).reshape(-1, channels)
        return before + self._resampler.convert(samples)

    def rest(self) -> bytes:
        """The samples that were held back; no more come."""
        resampler, self._resampler, self._format = self._resampler, None, None
        return resampler.rest() if resampler else b""


def _format(event: Event) -> tuple[int, int, int]:
    return (
        _number(event, "rate", _RATES),
        _number(event, "width", _WIDTHS),
        _number(event, "channels", _CHANNELS),
    )


def _number(event: Event, key: str, allowed: range) -> int:
    number = event.data.get(key)
    if type(number) is int and number in allowed:
        return number
    fault = f"sound with a {key} that is not between {allowed[0]} and {allowed[-1]}"
    raise InvalidEventError(fault, type=event.type, is_read=True)


def _samples(data: bytes, width: int) -> npt.NDArray[np.float32]:
    """Samples from -1 to 1, shape (n,): 8 bits are unsigned, more are signed little-endian."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    padded = np.zeros((len(data) // width, 4), np.uint8)  # as the high bytes of 32 bits
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
