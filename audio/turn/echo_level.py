"""Echo level: how loud the loudspeaker is in the microphone, and whether the user is louder."""

from collections import deque
from statistics import median_low

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, level_db, level_percentile_db, levels_db

_REPLIES = 3  # number of replies that are remembered
_ECHO_PERCENTILE = 0.9  # of a reply's block levels; its peaks are a few dB above
_MARGIN_DB = 6.0  # above the echo: another voice, and the least level at which one is noticed


class EchoLevel:
    """Learns from each reply how loud its echo is. Levels are in dBFS."""

    def __init__(self) -> None:
        self._replies: deque[float] = deque(maxlen=_REPLIES)
        self._levels: list[float] = []  # of the reply that is playing

    def observe(self, pcm: bytes, *, playing: bool) -> None:
        """Measure 16-bit samples; `playing` tells that the loudspeaker may be in them."""
        if playing:
            self._levels.append(level_db(pcm))
        elif self._levels:
            self._replies.append(level_percentile_db(self._levels, _ECHO_PERCENTILE))
            self._levels = []

    def discard_current(self) -> None:
        """Forget the current reply so far, for the user was in it."""
        self._levels = []

    def user_is_louder(self, pcm: bytes) -> bool:
        """True if louder than the learned echo level; False until one reply has been measured."""
        return bool(self._replies) and level_db(pcm) > self._threshold()

    def phrase_is_louder(self, pcm: bytes, seconds: float) -> bool:
        """True if a phrase that began so many seconds ago was louder than the echo.

        It must also be louder than the current reply was before it, for the loudspeaker may just
        have been turned up. False until one reply has been measured.
        """
        levels = levels_db(pcm, SAMPLE_RATE)
        if not (self._replies and levels):
            return False
        threshold = self._threshold()
        if before := self._levels[: -round(seconds / CHUNK_SECONDS)]:
            current = level_percentile_db(before, _ECHO_PERCENTILE)
            threshold = max(threshold, current + _MARGIN_DB)
        return level_percentile_db(levels, _ECHO_PERCENTILE) > threshold

    def masks(self, level: float) -> bool:
        """True if a voice of this level would not be noticed over a reply, as far as known."""
        return bool(self._replies) and self._threshold() > level

    def _threshold(self) -> float:
        # The user may have talked over one of the replies, which makes it louder.
        return median_low(self._replies) + _MARGIN_DB
