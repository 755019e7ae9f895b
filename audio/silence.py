"""Notices digital silence: a muted or dead microphone gives zeros, a quiet room never does."""

from audio.pcm import AudioChunk


class DigitalSilence:
    """Watches the sound of one source."""

    SECONDS = 5.0  # a noise gate gives zeros, too, but seldom for long

    def __init__(self) -> None:
        self._seconds = 0.0

    def feed(self, chunk: AudioChunk) -> None:
        """Look at one more chunk; an empty one says nothing."""
        if chunk.pcm.count(0) < len(chunk.pcm):
            self._seconds = 0.0
        else:
            self._seconds += len(chunk.pcm) / 2 / chunk.rate

    @property
    def lasts(self) -> bool:
        """Whether nothing but zeros has come for SECONDS."""
        return self._seconds >= self.SECONDS
