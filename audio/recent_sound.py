"""The latest sound, kept so that it can be heard again."""

from audio.stt.vosk_engine import RATE


class AudioRingBuffer:
    """The last seconds of 16-bit sound at 16 kHz. Times are seconds since it was made."""

    def __init__(self, seconds: float) -> None:
        self._limit = 2 * round(seconds * RATE)  # bytes
        self._kept = bytearray()
        self._samples = 0

    @property
    def seconds(self) -> float:
        """How much sound there has been."""
        return self._samples / RATE

    def add(self, pcm: bytes) -> None:
        """Keep these samples, too."""
        self._samples += len(pcm) // 2
        self._kept += pcm
        excess = len(self._kept) - self._limit
        if excess > 2 * RATE:  # trim now and then, not at every chunk
            del self._kept[:excess]

    def since(self, start: float, end: float = float("inf")) -> bytes:
        """The samples from one time to another, as far as they are kept."""
        first = self._samples - len(self._kept) // 2
        begin = max(0, round(start * RATE) - first)
        stop = min(self._samples, round(min(end, self.seconds) * RATE)) - first
        return bytes(self._kept[2 * begin : 2 * stop])
