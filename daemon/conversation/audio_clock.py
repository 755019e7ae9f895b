"""The daemon's clock: audio time that goes on while the microphone is closed."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

from audio.pcm import AudioChunk


class AudioClock:
    """Joins the openings of the sources to one audio time, in seconds, which never goes back.

    A source counts from 0 whenever it is opened. Here an opening follows on the one before, and the
    real time for which the microphone was closed lies between the two: it is a gap in the times of
    the chunks. A file is opened once, and read faster than in real time; its times are unchanged.

    For the loop's thread.

    Attributes:
        live: True for a microphone, which is real-time; False for a file.
    """

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self._newest = (0.0, time.monotonic())  # audio time of a chunk's end, monotonic of arrival

    @property
    def now(self) -> float:
        """The audio time of this moment; for a file, the end of the newest chunk."""
        end_seconds, arrived_at = self._newest
        return end_seconds + (time.monotonic() - arrived_at) if self.live else end_seconds

    def stamped(self, chunks: Iterable[AudioChunk]) -> Iterator[AudioChunk]:
        """Yield the chunks of one opening, from its beginning, with their times in this clock's."""
        opened_at = self.now
        for chunk in chunks:
            end_seconds = opened_at + chunk.end_seconds
            if chunk.pcm:
                self._newest = end_seconds, time.monotonic()
            yield replace(chunk, end_seconds=end_seconds)

    def monotonic(self, audio_seconds: float | None) -> float | None:
        """The monotonic time at which the microphone gave this moment; None for a file."""
        if audio_seconds is None or not self.live:
            return None
        end_seconds, arrived_at = self._newest
        return arrived_at - (end_seconds - audio_seconds)
