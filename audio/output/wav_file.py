"""Audio sink that writes the speech to a WAV file, a pipe or standard output."""

import contextlib
import errno
import fcntl
import io
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from audio.output.buffer import Cancelled
from audio.pcm import Samples
from audio.tts.sound import RATE
from config.errors import OutputError
from config.standard_streams import STREAM

WAV_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_FIELD = 2**32 - 1  # of a length in the header; programs that stream write it for "unknown"
_PIPE_BYTES = 4096  # a pipe that is ready takes so many without blocking (PIPE_BUF of Linux)
_POLL_MILLISECONDS = 50


class WavFilePlayer:
    """A WAV file instead of a loudspeaker; written much faster than real time.

    The file is complete after every `play`, even if the process is killed next. What cannot be
    rewound (a pipe, a file that is appended to) is written as a stream whose header gives no
    length; a reader that is slow delays `play`.
    """

    def __init__(self, path: Path, file: BinaryIO | None = None) -> None:
        """Create the file, or empty it. A named pipe is opened when somebody reads it.

        Args:
            path: the file; STREAM is standard output.
            file: written to instead, unbuffered, and left open; `path` then is only a name for
                messages.

        Raises:
            OutputError: it cannot be written, or is a terminal.
        """
        self.rate = RATE
        self.started_at: float | None = None
        self._path = path
        self._owns_file = file is None
        self._lock = threading.Lock()  # `close` may come from another thread
        self._closed = False
        self._bytes = 0  # of sound
        try:
            self._file = _open(path) if file is None else file
        except OSError as error:
            raise _problem(path, error) from error
        try:
            if self._file.isatty():
                raise OSError(errno.EINVAL, "it is a terminal")
            self._start = self._file.tell() if _can_rewind(self._file) else None
            self._write_header()
        except OSError as error:
            self.close()
            raise _problem(path, error) from error

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
        try:
            with self._lock:
                self._append(samples.tobytes(), cancelled)
        except OSError as error:
            raise _problem(self._path, error) from error
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
        """Close the file; a `play` in another thread that waits for a slow reader ends."""
        self._closed = True
        with self._lock, contextlib.suppress(OSError):
            if self._owns_file:
                self._file.close()

    def _append(self, sound: bytes, cancelled: Cancelled) -> None:
        """Append, then update the header, which never counts bytes that are not there."""
        if self._closed:
            return
        if self._start is None:
            self._stream(sound, cancelled)
            return
        self._file.seek(self._start + WAV_HEADER.size + self._bytes)  # also after a failed write
        self._write_all(sound)
        self._bytes += len(sound)
        self._write_header()

    def _stream(self, sound: bytes, cancelled: Cancelled) -> None:
        """Write in blocks, each when the reader has room for it, until cancelled or closed."""
        ready = select.poll()
        ready.register(self._file, select.POLLOUT)
        for at in range(0, len(sound), _PIPE_BYTES):
            while not ready.poll(_POLL_MILLISECONDS):
                if self._closed or cancelled():
                    return
            self._write_all(sound[at : at + _PIPE_BYTES])

    def _write_header(self) -> None:
        """Write the header in its place, and leave the position at the end of the sound."""
        if self._start is None:
            self._write_all(wav_header(_MAX_FIELD))
            return
        self._file.seek(self._start)
        self._write_all(wav_header(self._bytes))
        self._file.seek(self._start + WAV_HEADER.size + self._bytes)

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]


@contextlib.contextmanager
def whole_wav_file(path: Path) -> Iterator[WavFilePlayer]:
    """A sink whose sound is put in its place when the block ends without an exception.

    Until then the file at `path` stays as it was, and the speech is in memory, for STREAM, or in a
    file without a name (O_TMPFILE): a kill leaves nothing of it on the disk. `path` itself is
    written at once where that cannot be: a pipe, a device, a folder that may not be written, a file
    system without such files (NFS).

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: nothing reads standard output any more.
    """
    if path == STREAM:
        memory = io.BytesIO()  # for the length in the header
        yield WavFilePlayer(path, memory)
        sys.stdout.buffer.write(memory.getbuffer())
        sys.stdout.buffer.flush()
        return
    try:
        if path.is_file():
            path = path.resolve()  # a link stays, its file is replaced
            is_replaceable = os.access(path, os.W_OK)  # a rename does not ask; opening it will tell
        else:
            is_replaceable = not path.exists()
    except OSError as error:  # a folder that may not be searched
        raise _problem(path, error) from error
    unnamed = _unnamed_file(path.parent) if is_replaceable else None
    if unnamed is None:
        with contextlib.closing(WavFilePlayer(path)) as player:
            yield player
        return
    with unnamed:
        yield WavFilePlayer(path, unnamed)
        try:
            _give_name(unnamed, path)
        except OSError as error:
            raise _problem(path, error) from error


def wav_header(size: int) -> bytes:
    """The first 44 bytes of a mono 16-bit WAV file at `RATE` with `size` bytes of sound.

    http://soundfile.sapp.org/doc/WaveFormat/
    """
    whole = min(size + WAV_HEADER.size - 8, _MAX_FIELD)  # after 27 hours the field is full
    fields = (b"RIFF", whole, b"WAVE", b"fmt ", 16)
    layout = (1, 1, RATE, 2 * RATE, 2, 16)  # PCM, channels, rate, bytes a second, a frame; bits
    return WAV_HEADER.pack(*fields, *layout, b"data", min(size, _MAX_FIELD))


def _problem(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    remedy = "name a file in a folder that exists and that you may write to"
    if error.errno == errno.EPIPE:
        reason, remedy = "nothing reads it any more", "start its reader again"
    name = "standard output" if path == STREAM else path
    return OutputError(f"The speech cannot be written to {name}: {reason}; {remedy}.")


def _open(path: Path) -> BinaryIO:
    """Open for writing, unbuffered: bytes that a full disk refuses must not be written later."""
    if path == STREAM:
        return cast(BinaryIO, os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0))
    return cast(BinaryIO, path.open("wb", buffering=0))


def _can_rewind(file: BinaryIO) -> bool:
    if not file.seekable():
        return False
    try:
        descriptor = file.fileno()
    except OSError:  # in memory
        return True
    return not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND


def _unnamed_file(folder: Path) -> BinaryIO | None:
    """A file without a name in the folder; None where there can be none."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
    except OSError:
        return None
    return cast(BinaryIO, os.fdopen(descriptor, "w+b", buffering=0))


def _give_name(file: BinaryIO, path: Path) -> None:
    """Give an unnamed file a path, with the permissions of the file that it replaces."""
    with contextlib.suppress(FileNotFoundError):
        os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
    # A link cannot replace a file; a rename can.
    temporary = path.with_name(f".afterword-{os.getpid()}.wav")
    folder = os.open(path.parent, os.O_DIRECTORY)
    try:
        # With a `dir_fd` Python calls linkat(2), which follows the link in /proc, else link(2).
        os.link(
            f"/proc/self/fd/{file.fileno()}", temporary, src_dir_fd=folder, follow_symlinks=True
        )
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)
