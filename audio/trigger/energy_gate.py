"""Is there anything to hear? Spares the recogniser the hours in which nobody speaks."""

from collections import deque

from audio.pcm import SAMPLE_RATE, level_db

_WINDOW = 5.0  # seconds, whose quietest moment is the room; at first the gate is open for as long
_MARGIN_DB = 5.0  # above it; the vowels of a phrase that can be understood at all are louder
_LINGER = 1.5  # seconds for which the gate stays open, for speech has pauses


class EnergyGate:
    """Closed while all sound is about as loud as the quietest of the last seconds.

    A voice is louder than the steady noise behind it. Noise that is never steady keeps it open.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._levels: deque[tuple[float, float]] = deque()  # when, and in dB
        self._open_until = _WINDOW

    def accept(self, pcm: bytes) -> bool:
        """Hear 16-bit samples, some hundredths of a second; whether they are worth hearing."""
        self._seconds += len(pcm) / 2 / SAMPLE_RATE
        level = level_db(pcm)
        self._levels.append((self._seconds, level))
        while self._levels[0][0] < self._seconds - _WINDOW:
            self._levels.popleft()
        if level > min(one for _, one in self._levels) + _MARGIN_DB:
            self._open_until = self._seconds + _LINGER
        return self._seconds <= self._open_until
