"""Debug recordings: an observer that writes the sound of the latest seeds as WAV files.

Off by default. Each begins a little before the trigger phrase ends. They are readable by their
owner alone, and deleted when they are too many or too old.
"""

import contextlib
import logging
import os
import re
import time
import wave
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from audio.pcm import AudioChunk
from config.paths import state_folder

log = logging.getLogger(__name__)

BUFFER_SECONDS = 180.0  # of sound: the longest seed, and what comes before it
PREROLL_SECONDS = 2.0  # before the end of the trigger phrase
EXPIRY_INTERVAL_SECONDS = 600.0  # between two looks for expired files
_NAME = re.compile(r"\d{8}-\d{6}-\d{3}\.wav")  # of a recording, as `_create` makes it


def captures_folder() -> Path:
    """The folder of the recordings."""
    return state_folder() / "captures"


class DebugRecordings:
    """Buffers the latest sound, and writes a file when a seed has ended."""

    def __init__(self, folder: Path, keep: int, expire_seconds: float) -> None:
        self._folder = folder
        self._keep = keep
        self._expire_seconds = expire_seconds
        self._chunks: deque[AudioChunk] = deque()
        self._begin: float | None = None  # audio time of the capture under way
        self._last_begin = 0.0  # that of the capture before
        self._is_due = False
        self._last_expiry = float("-inf")  # monotonic time

    def on_audio(self, chunk: AudioChunk) -> None:
        """Buffer a chunk; its events have come before."""
        self._chunks.append(chunk)
        while chunk.end_seconds - self._chunks[0].end_seconds > BUFFER_SECONDS:
            self._chunks.popleft()
        if self._is_due:
            self._write()

    def on_event(self, event: Mapping[str, object]) -> None:
        """Note where a capture begins and that it has ended."""
        match event:
            case {"event": "triggered", "audio_seconds": float(at) | int(at)}:
                self._begin = self._last_begin = at - PREROLL_SECONDS
            case {"event": "resumed"}:
                self._begin = self._last_begin
            case {"event": "seed" | "nothing"} if self._begin is not None:
                self._is_due = True
            case {"event": "state", "state": "listening"} if not self._is_due:
                self._begin = None  # muted, or taken back: a typed seed has no sound

    def on_tick(self) -> None:
        """Write a capture that the loss of the microphone has ended; delete expired files."""
        if self._is_due:
            self._write()
        if time.monotonic() - self._last_expiry > EXPIRY_INTERVAL_SECONDS:
            self._last_expiry = time.monotonic()
            expire(self._folder, self._keep, self._expire_seconds)

    def close(self) -> None:
        """Write a capture that has just ended; one under way is dropped."""
        if self._is_due:
            self._write()

    def _write(self) -> None:
        begin, self._begin, self._is_due = self._begin or 0.0, None, False
        chunks = [chunk for chunk in self._chunks if chunk.end_seconds > begin]
        if not chunks:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(_create(self._folder), "wb") as file, wave.open(file) as wav:
                wav.setparams((1, 2, chunks[0].rate, 0, "NONE", ""))
                wav.writeframes(b"".join(chunk.pcm for chunk in chunks))
        except OSError as error:
            log.warning("A capture cannot be kept in %s: %s.", self._folder, error.strerror)
        expire(self._folder, self._keep, self._expire_seconds)


def _create(folder: Path) -> int:
    """Create a WAV file named after the time, to the millisecond; its descriptor, for writing.

    The next free millisecond is taken, so that no recording is overwritten and names sort by age.
    """
    milliseconds = time.time_ns() // 1_000_000
    while True:
        second = time.strftime("%Y%m%d-%H%M%S", time.localtime(milliseconds // 1000))
        path = folder / f"{second}-{milliseconds % 1000:03}.wav"
        with contextlib.suppress(FileExistsError):
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        milliseconds += 1


def expire(folder: Path, keep: int, expire_seconds: float) -> None:
    """Delete recordings older than `expire_seconds`, and of the rest all but the newest `keep`.

    Other sound files are kept, for the folder may be a link to one of the user's.
    """
    oldest = time.time() - expire_seconds
    with contextlib.suppress(OSError):  # there is no such folder
        names = [file for file in folder.iterdir() if _NAME.fullmatch(file.name)]
        for number, file in enumerate(sorted(names, reverse=True)):
            with contextlib.suppress(OSError):  # a file has just gone, or may not be deleted
                if number >= keep or file.lstat().st_mtime < oldest:
                    file.unlink()
