"""Sound files of every format that libsndfile reads, also those whose header gives no length."""

import contextlib
import io
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from config.errors import InputError

_PIPE_BYTES = 256 * 2**20  # of sound through a pipe, which is held in memory: 2 hours at 16 kHz
_BLOCK_BYTES = 2**20


@contextlib.contextmanager
def open_sound(path: Path, data: BinaryIO | None = None) -> Iterator[Any]:
    """Open a sound file, as a soundfile.SoundFile; read it by `blocks`.

    Args:
        path: the file.
        data: read instead; `path` then is only a name for messages.

    Raises:
        InputError: it is missing, cannot be read or is not sound.
    """
    import soundfile

    with contextlib.ExitStack() as stack:
        try:
            # Opened here, for libsndfile does not say why it cannot open a file.
            raw = data or stack.enter_context(path.open("rb"))
            corrected = _with_length(raw)
            raw.seek(0)
            file = stack.enter_context(soundfile.SoundFile(corrected))
        except OSError as error:
            raise InputError(f"The sound file {path} cannot be read: {error.strerror}.") from error
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{path} is not a sound file that can be read; name a WAV or FLAC file, or convert "
                "it, for instance by ffmpeg."
            ) from error
        yield file


def blocks(file: Any, frames: int, path: Path) -> Iterator[Any]:
    """Blocks of an open sound file: (frames, channels) floats from -1 to 1.

    Raises:
        InputError: the file is damaged.
    """
    import soundfile

    while True:
        try:
            # SoundFile.blocks refuses GSM and other codecs in which it cannot seek.
            block = file.read(frames, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise InputError(f"The sound file {path} is damaged in its middle.") from error
        if not len(block):
            return
        yield block


def read_pipe(path: Path) -> BinaryIO | None:
    """All that comes through a pipe, in memory; None for a regular file.

    Raises:
        InputError: there is no such file, it is a folder or a device, it cannot be read, or too
            much comes.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            return None
        if not stat.S_ISFIFO(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise InputError(f"The sound file {path} is {kind}; name a WAV or FLAC file.")
        data = io.BytesIO()
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK_BYTES):
                data.write(block)
                if data.tell() > _PIPE_BYTES:
                    raise InputError(
                        f"More than {_PIPE_BYTES // 2**20} MB of sound come through {path}; "
                        "write it to a file and name that."
                    )
        return data
    except FileNotFoundError as error:
        raise InputError(
            f"The sound file {path} does not exist; name a WAV or FLAC file."
        ) from error
    except OSError as error:
        raise InputError(f"The sound file {path} cannot be read: {error.strerror}.") from error


class _Corrected:
    """A file to read in which some bytes are replaced."""

    def __init__(self, raw: BinaryIO, position: int, replacement: bytes) -> None:
        self._raw = raw
        self._position = position
        self._replacement = replacement
        self.seek, self.tell = raw.seek, raw.tell

    def read(self, size: int = -1) -> bytes:
        begin = self._raw.tell()
        data = bytearray(self._raw.read(size))
        for at, byte in enumerate(self._replacement, self._position - begin):
            if 0 <= at < len(data):
                data[at] = byte
        return bytes(data)


def _with_length(raw: BinaryIO) -> BinaryIO | _Corrected:
    """The file; if it is a WAV file whose header gives 0 as the length of its sound, corrected.

    A program that is killed, or that writes to a pipe, cannot go back to write the length.
    libsndfile knows 0xFFFFFFFF as an unknown length, but takes 0 at its word.
    """
    end = raw.seek(0, io.SEEK_END)
    raw.seek(0)
    if raw.read(4) not in (b"RIFF", b"RF64"):
        return raw
    field, width = 0, 4  # of the length
    for name, length, body in _chunks(raw, 12, end):
        if name == b"ds64":  # in an RF64 file: 64-bit lengths of file and sound
            field, width = body + 8, 8
            raw.seek(field)
            ds64_length = int.from_bytes(raw.read(8), "little")
        if name == b"data":
            field = field or body - 4
            given = ds64_length if width == 8 else length
            if given == 0 and not _is_chunks(raw, body, end):
                true = min(end - body, 2 ** (8 * width) - 1)
                return _Corrected(raw, field, true.to_bytes(width, "little"))
            break
    return raw


def _chunks(raw: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, length and position of each chunk of a WAV file, up to what is none."""
    while position + 8 <= end:
        raw.seek(position)
        name, length = raw.read(4), int.from_bytes(raw.read(4), "little")
        if not name.isascii() or not name.decode("ascii").isprintable():
            return
        position += 8
        yield name, length, position
        position += length + length % 2  # chunks begin at even positions


def _is_chunks(raw: BinaryIO, position: int, end: int) -> bool:
    """True if there are only whole chunks from a position to the end: no sound is missing."""
    for _, length, body in _chunks(raw, position, end):
        position = body + length
    return position >= end
