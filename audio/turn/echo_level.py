"""How loud the loudspeaker is in the microphone, and whether somebody is louder."""

from collections import deque
from statistics import median_low

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, level_db, levels_db, loudness_db

_REPLIES = 3  # that are remembered
_RANK = 0.9  # of a reply's blocks are quieter; its peaks are a few dB above
_MARGIN_DB = 6.0  # above that is another voice, and above what it must be to be noticed


class EchoLevel:
    """Learns from each reply how loud it came back. Levels are in dB of full scale."""

    def __init__(self) -> None:
        self._replies: deque[float] = deque(maxlen=_REPLIES)
        self._levels: list[float] = []  # of the reply that sounds

    def note(self, pcm: bytes, *, sounding: bool) -> None:
        """Hear 16-bit samples; `sounding` tells that the loudspeaker may be in them."""
        if sounding:
            self._levels.append(level_db(pcm))
        elif self._levels:
            self._replies.append(loudness_db(self._levels, _RANK))
            self._levels = []

    def forget(self) -> None:
        """What sounds just now was not the loudspeaker alone."""
        self._levels = []

    def is_below(self, pcm: bytes) -> bool:
        """Whether this is louder than the loudspeaker alone; never while we know none of it."""
        return bool(self._replies) and level_db(pcm) > self._limit()

    def is_below_phrase(self, pcm: bytes, seconds: float) -> bool:
        """Whether a phrase that began so many seconds ago was louder than the loudspeaker alone.

        Than the same reply before it, too, for the loudspeaker may just have been turned up.
        """
        levels = levels_db(pcm, SAMPLE_RATE)
        if not (self._replies and levels):
            return False
        limit = self._limit()
        if before := self._levels[: -round(seconds / CHUNK_SECONDS)]:
            limit = max(limit, loudness_db(before, _RANK) + _MARGIN_DB)
        return loudness_db(levels, _RANK) > limit

    def would_drown(self, level: float) -> bool:
        """Whether a voice of this level would not be noticed over a reply, as far as we know."""
        return bool(self._replies) and self._limit() > level

    def _limit(self) -> float:
        # One of them may have been talked over, which makes it louder.
        return median_low(self._replies) + _MARGIN_DB
