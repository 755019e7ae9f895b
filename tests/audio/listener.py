"""Listens to a microphone beside the test."""

import threading
import time

from audio.input.microphone import Microphone
from audio.pcm import AudioChunk
from config.errors import AudioDeviceError


class Listener:
    """Collects a microphone's chunks in a thread of its own."""

    def __init__(self, microphone: Microphone) -> None:
        self.microphone = microphone
        self.chunks: list[AudioChunk] = []
        self._error: AudioDeviceError | None = None
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        try:
            with self.microphone.open() as chunks:
                for chunk in chunks:
                    if chunk.pcm:  # empty ones only say that there is none
                        self.chunks.append(chunk)
        except AudioDeviceError as error:
            self._error = error

    def end(self) -> None:
        """Wait for the end; raises what ended it."""
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
        if self._error:
            raise self._error

    def wait_for_chunks(self, count: int, seconds: float = 20.0) -> None:
        wanted, deadline = len(self.chunks) + count, time.monotonic() + seconds
        while len(self.chunks) < wanted:
            assert time.monotonic() < deadline, "no sound came"
            time.sleep(0.02)

    def stop(self) -> float:
        """Stop; the seconds that it took."""
        began = time.monotonic()
        self.microphone.stop()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
        return time.monotonic() - began
