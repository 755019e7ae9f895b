"""Energy gate: spares the recogniser the hours in which the room is quiet."""

from collections import deque

from audio.high_pass import HighPass
from audio.pcm import SAMPLE_RATE, level_db

_WINDOW_SECONDS = 5.0  # in which the quietest block is the noise floor; the gate starts open
_MARGIN_DB = 5.0  # above the floor; the vowels of a phrase that can be understood are louder
_SPEECH_BAND_HZ = 200.0  # above the hum, below most of the power of a voice
_HOLD_SECONDS = 1.5  # for which the gate stays open, for speech has pauses


class EnergyGate:
    """Closed while all sound is about as loud as the noise floor of the last seconds.

    Only the speech band counts, for a hum is often louder than the voice. A voice is louder than
    the steady noise behind it. Noise that is never steady keeps it open.
    """

    def __init__(self) -> None:
        self._speech_band = HighPass(_SPEECH_BAND_HZ)
        self._seconds = 0.0
        self._levels: deque[tuple[float, float]] = deque()  # time and dB of each block
        self._open_until = _WINDOW_SECONDS

    def accept(self, pcm: bytes) -> bool:
        """Measure a block of 16-bit samples, some hundredths of a second; True while open."""
        self._seconds += len(pcm) / 2 / SAMPLE_RATE
        level = level_db(self._speech_band.filter(pcm))
        self._levels.append((self._seconds, level))
        while self._levels[0][0] < self._seconds - _WINDOW_SECONDS:
            self._levels.popleft()
        if level > min(one for _, one in self._levels) + _MARGIN_DB:
            self._open_until = self._seconds + _HOLD_SECONDS
        return self._seconds <= self._open_until
