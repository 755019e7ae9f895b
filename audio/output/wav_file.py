"""Audio sink that writes the speech to a WAV file instead of a loudspeaker."""

import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

from audio.output.buffer import Cancelled
from audio.pcm import Samples
from audio.tts.engine import RATE
from config.errors import OutputError

WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


class WavFilePlayer:
    """A WAV file instead of a loudspeaker; written much faster than real time.

    The file is complete after every `play`, even if the process is killed next.
    """

    def __init__(self, path: Path) -> None:
        """Create the file, or empty it.

        Raises:
            OutputError: it cannot be written.
        """
        self.rate = RATE
        self.started_at: float | None = None
        self._path = path
        self._lock = threading.Lock()  # `close` may come from another thread
        self._bytes = 0  # of sound
        try:
            # Unbuffered: bytes that a full disk refuses must not be written again at closing.
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise self._problem(error) from error
        try:
            self._write(b"")
        except OutputError:
            self._file.close()
            raise

    def open(self) -> None:
        """Forget `started_at`."""
        self.started_at = None

    def play(self, samples: Samples, cancelled: Cancelled) -> None:
        """Append samples, unless `cancelled` or closed.

        Raises:
            OutputError: they cannot be written.
        """
        if cancelled() or len(samples) == 0:
            return
        self._write(samples.tobytes())
        if self.started_at is None:
            self.started_at = time.monotonic()

    def wait(self, cancelled: Cancelled) -> None:
        """Return at once: all samples are written."""

    def cue(self, samples: Samples) -> bool:  # noqa: ARG002
        """Do nothing: the file holds speech alone."""
        return True

    def pause(self, seconds: float) -> None:
        """Do nothing: a file has no real-time playback."""

    def stop(self) -> None:
        """Do nothing: written samples stay."""

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(OSError):
            self._file.close()

    def _write(self, sound: bytes) -> None:
        """Append, then update the header, which never counts bytes that are not there."""
        with self._lock:
            if self._file.closed:
                return
            try:
                self._write_at(WAV_HEADER.size + self._bytes, sound)
                self._bytes += len(sound)
                self._write_at(0, wav_header(self._bytes))
            except OSError as error:
                raise self._problem(error) from error

    def _write_at(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def _problem(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(
            f"The speech cannot be written to {self._path}: {reason}; "
            "name a file in a folder that exists and that you may write to."
        )


def wav_header(size: int) -> bytes:
    """The first 44 bytes of a mono 16-bit WAV file at `RATE` with `size` bytes of sound.

    http://soundfile.sapp.org/doc/WaveFormat/
    """
    size = min(size, 2**32 - WAV_HEADER.size)  # after 27 hours the field is full
    fields = (b"RIFF", size + WAV_HEADER.size - 8, b"WAVE", b"fmt ", 16)
    layout = (1, 1, RATE, 2 * RATE, 2, 16)  # PCM, channels, rate, bytes a second, a frame; bits
    return WAV_HEADER.pack(*fields, *layout, b"data", size)
