"""User's voice: told by its level from other voices, such as a television's.

    level │      ▄▆█▇▅     ▃▇█▆▄
          │      trigger    seed          ← the user: the 80th percentile of the frames so far
          │┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ ← the limit: what is below is not the user
          │▂▃▂▃▂▁▂▃▂▃▂▃▁▂▃▂▃▂▃▂▃▁▂▃▂▃▂▃▁▂ ← the room before the trigger

A voice that is no louder than the room was before the trigger is not the user. One that begins
later has no level to compare with: it must be softer than the user for longer. Both are silence
for the end of a seed. All numbers were found on recordings (docs/lab/hearing.md).
"""

from collections import deque

from audio.pcm import SAMPLE_RATE, SILENCE_DB, level_db, level_percentile_db, levels_db
from audio.vad import FRAME_SECONDS, VoiceDetector

ROOM_SECONDS = 5.0  # before the trigger, in which the room is measured
_MIN_ROOM_SECONDS = 0.3  # with less, nothing is known of the room
_ROOM_PERCENTILE = 0.9  # of its frames' levels
_ROOM_MARGIN_DB = 6.0  # above the room: the limit of the user's voice ...
_USER_RANGE_DB = 11.0  # ... but no nearer to the user's level than this, for speech rises and falls
_SOFT_ROOM_DB = 33.0  # below the phrase: nobody else speaks there, and any voice is the user's
_USER_PERCENTILE = 0.8  # of the levels of the user's last frames
_USER_FRAMES = 30  # number of, from which the level is measured: the last second of voice
_MIN_USER_FRAMES = 8  # with fewer, the level is that of the trigger phrase
_ABOVE_PHRASE_DB = 6.0  # the most by which a seed is louder than the phrase: a cough may be more
_OTHER_FRAMES = 6  # with another voice, from which on a silence must last ...
_OTHER_SECONDS = 0.2  # ... for so much longer
_FADE_DB = 14.0  # below the user: another voice, if it stays there ...
_UNKNOWN_ROOM_FADE_DB = 10.0  # ... or less where the room is unknown ...
_FADE_SECONDS = 0.45  # ... for so much longer than a silence must last
_LOUD_FRAMES, _LOUD_WINDOW_FRAMES = 2, 6  # so many of which end a fade: one may be a peak
_EDGE_SECONDS = 0.1  # between the user's voice and a word of another: soft words lie within
_LONG_WORD_SECONDS = 0.25  # from which on a third of a word must be the user's voice
_PAUSE_FRAMES = 5  # in a row without a voice: the detector tells voice from noise ...
_WARM_UP_FRAMES = 10  # ... after these, its first


class UserVoice:
    """Measures how long the sound has been without the user's voice.

    Times are seconds since `begin`.
    """

    def __init__(self, detector: VoiceDetector) -> None:
        self._detector = detector
        self.begin()

    def begin(self, room: bytes = b"", phrase: bytes = b"") -> None:
        """Forget all sound; `room` came before the trigger phrase, as 16-bit samples both."""
        self._detector.reset()
        rooms = levels_db(room, SAMPLE_RATE)
        phrases = levels_db(phrase, SAMPLE_RATE)
        known = len(rooms) * FRAME_SECONDS >= _MIN_ROOM_SECONDS and bool(phrases)
        self._room = level_percentile_db(rooms, _ROOM_PERCENTILE) if known else None
        self._phrase = level_percentile_db(phrases, _USER_PERCENTILE) if phrases else None
        self._levels: deque[float] = deque(maxlen=_USER_FRAMES)
        self._frames: list[bool | None] = []  # the user's voice, another's, or none
        self._last = self._last_loud = 0.0  # when the user's voice ended, and when it was not soft
        self._loud: deque[bool] = deque(maxlen=_LOUD_WINDOW_FRAMES)
        self._pauses = False
        self.voiced_seconds = 0.0  # of the user's voice

    @property
    def seconds(self) -> float:
        """The time at the end of the last whole frame."""
        return len(self._frames) * FRAME_SECONDS

    @property
    def is_other_heard(self) -> bool:
        """True if another voice has been heard since the user last spoke."""
        since = self._frames[round(self._end_of_user() / FRAME_SECONDS) :]
        return sum(frame is not None for frame in since) >= _OTHER_FRAMES

    @property
    def is_told_from_noise(self) -> bool:
        """True if what is heard as the user's voice is surely one, for there were pauses in it.

        A loud noise may be a voice to the detector all the time; a room that was soft has none.
        """
        return self._pauses or self._is_room_soft()

    def accept(self, pcm: bytes) -> float:
        """Hear 16-bit samples; the seconds without the user's voice up to their end."""
        for frame, voiced in self._detector.frames(pcm):
            self._observe(level_db(frame), voiced)
        quiet = self.seconds - self._end_of_user()
        return max(0.0, quiet - _OTHER_SECONDS) if self.is_other_heard else quiet

    def is_other(self, start: float, end: float) -> bool:
        """True if what is said from `start` to `end` is another voice's."""
        around = self._voiced(start - _EDGE_SECONDS, end + _EDGE_SECONDS)
        if start >= self._end_of_user() + _EDGE_SECONDS or not any(around):
            return bool(around)
        within = self._voiced(start, end)
        return end - start >= _LONG_WORD_SECONDS and sum(within) < len(within) / 3

    def _voiced(self, start: float, end: float) -> list[bool]:
        """Of each frame with a voice, whether it is the user's."""
        first, last = round(max(0.0, start) / FRAME_SECONDS), round(end / FRAME_SECONDS)
        return [frame for frame in self._frames[first : last + 1] if frame is not None]

    def _observe(self, level: float, voiced: bool) -> None:
        is_user = voiced and level >= self._limit()
        self._frames.append(is_user if voiced else None)
        if len(self._frames) > _WARM_UP_FRAMES and not any(self._frames[-_PAUSE_FRAMES:]):
            self._pauses = True
        if not is_user:
            self._loud.append(False)
            return
        self._last = self.seconds
        fade = _FADE_DB if self._is_room_soft() else _UNKNOWN_ROOM_FADE_DB
        self._loud.append(level >= self._seed_level() - fade)
        if sum(self._loud) >= _LOUD_FRAMES:
            self._last_loud = self.seconds
        if self.seconds - self._last_loud <= _FADE_SECONDS:
            self.voiced_seconds += FRAME_SECONDS
            self._levels.append(level)

    def _end_of_user(self) -> float:
        """When the user last spoke; a soft end counts if it is not too long."""
        return min(self._last, self._last_loud + _FADE_SECONDS)

    def _limit(self) -> float:
        """The lowest level of the user's voice in this room."""
        if self._room is None or self._phrase is None or self._room < self._phrase - _SOFT_ROOM_DB:
            return SILENCE_DB
        return min(self._room + _ROOM_MARGIN_DB, self._user_level() - _USER_RANGE_DB)

    def _is_room_soft(self) -> bool:
        """True if noise as loud as the room's is below the limit of the user's voice."""
        softest = self._user_level() - _USER_RANGE_DB - _ROOM_MARGIN_DB
        return self._room is not None and self._room <= softest

    def _user_level(self) -> float:
        """The user's level in phrase or seed."""
        seed = self._seed_level()
        if self._phrase is None or seed == SILENCE_DB:
            return seed if self._phrase is None else self._phrase
        return min(seed, self._phrase + _ABOVE_PHRASE_DB)

    def _seed_level(self) -> float:
        """The user's level in the seed; SILENCE_DB at its beginning."""
        if len(self._levels) < _MIN_USER_FRAMES:
            return SILENCE_DB
        return level_percentile_db(self._levels, _USER_PERCENTILE)
