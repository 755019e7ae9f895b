"""For debugging: the sound of the latest seeds as WAV files, where the user wants them kept.

Off by default. Each begins a little before the trigger phrase ends; all are for their owner alone,
and deleted when they are too many or too old.
"""

import contextlib
import logging
import os
import time
import wave
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from audio.pcm import AudioChunk
from config.paths import state_folder

log = logging.getLogger(__name__)

HELD_SECONDS = 180.0  # the longest seed, and what comes before it
BEFORE_SECONDS = 2.0  # of the phrase's end
LOOK_SECONDS = 600.0  # between two looks for what has expired


def captures_folder() -> Path:
    """Where they lie."""
    return state_folder() / "captures"


class DebugRecordings:
    """Holds the latest sound, and writes it down when a seed is over. For the loop's thread."""

    def __init__(self, folder: Path, keep: int, expire_seconds: float) -> None:
        self._folder = folder
        self._keep = keep
        self._expire_seconds = expire_seconds
        self._chunks: deque[AudioChunk] = deque()
        self._since: float | None = None  # where the capture under way begins
        self._began = 0.0  # where the last one did
        self._is_due = False
        self._looked = float("-inf")

    def on_audio(self, chunk: AudioChunk) -> None:
        """Note a chunk that has been heard; what it made happen has been told before."""
        if self._chunks and chunk.end_seconds < self._chunks[-1].end_seconds:
            self._chunks.clear()  # the microphone was opened again
        self._chunks.append(chunk)
        while chunk.end_seconds - self._chunks[0].end_seconds > HELD_SECONDS:
            self._chunks.popleft()
        if self._is_due:
            self._write()

    def on_event(self, event: Mapping[str, object]) -> None:
        """Note an event, as those who follow the daemon get it."""
        match event:
            case {"event": "triggered", "audio_seconds": float(at) | int(at)}:
                self._since = self._began = at - BEFORE_SECONDS
            case {"event": "resumed"}:
                self._since = self._began
            case {"event": "seed" | "nothing"} if self._since is not None:
                self._is_due = True

    def on_tick(self) -> None:
        """Delete now and then what has expired."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            expire(self._folder, self._keep, self._expire_seconds)

    def close(self) -> None:
        """What is under way is not kept."""

    def _write(self) -> None:
        since, self._since, self._is_due = self._since or 0.0, None, False
        chunks = [chunk for chunk in self._chunks if chunk.end_seconds > since]
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            name = time.strftime("%Y%m%d-%H%M%S", time.localtime())
            path = self._folder / f"{name}-{time.time_ns() // 1_000_000 % 1000:03}.wav"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file, wave.open(file) as wav:
                wav.setparams((1, 2, chunks[0].rate, 0, "NONE", ""))
                wav.writeframes(b"".join(chunk.pcm for chunk in chunks))
        except OSError as error:
            log.warning("A capture cannot be kept in %s: %s.", self._folder, error.strerror)
        expire(self._folder, self._keep, self._expire_seconds)


def expire(folder: Path, keep: int, expire_seconds: float) -> None:
    """Delete what is older, and of the rest all but the newest `keep`."""
    oldest = time.time() - expire_seconds
    with contextlib.suppress(OSError):  # there is no such folder, or a file has just gone
        files = sorted(folder.glob("*.wav"), reverse=True)
        for number, file in enumerate(files):
            if number >= keep or file.stat().st_mtime < oldest:
                file.unlink()
