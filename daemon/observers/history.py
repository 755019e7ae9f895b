"""History: an observer that writes each exchange, in words, as a line of JSON to a file.

Off by default. The file is readable by its owner alone and never exceeds its size limit: the
oldest exchanges are dropped first.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from audio.pcm import AudioChunk
from config.errors import OutputError
from config.languages import join_sentences
from config.paths import state_folder
from config.private_file import open_private
from config.standard_streams import json_bytes

log = logging.getLogger(__name__)


def history_file() -> Path:
    """The path of the history."""
    return state_folder() / "history.jsonl"


class History:
    """Appends each exchange when it has ended; a full disk is logged once, and not fatal."""

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._turn: dict[str, object] | None = None
        self._reply: list[object] = []
        self._may_warn = True

    def on_event(self, event: Mapping[str, object]) -> None:
        """Collect seed and sentences; write them when the reply has ended."""
        match event:
            case {"event": "seed", "turn": turn, "time": time, "text": text}:
                self.close()
                self._reply = []
                self._turn = {"time": time, "turn": turn, "seed": text, "reply": self._reply}
            case {"event": "sentence", "turn": turn, "text": text} if self._is_under_way(turn):
                self._reply.append(text)
            case {"event": "resumed"}:
                self._turn = None  # the whole seed comes with the next turn
            case {"event": "ended", "turn": turn, "outcome": outcome} if self._is_under_way(turn):
                self._write(outcome)

    def on_audio(self, chunk: AudioChunk) -> None:
        """Does nothing: the history holds no audio."""

    def on_tick(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Write an exchange under way as cancelled."""
        self._write("cancelled")

    def _is_under_way(self, turn: object) -> bool:
        return self._turn is not None and self._turn["turn"] == turn

    def _write(self, outcome: object) -> None:
        if self._turn is None:
            return
        del self._turn["turn"]
        line = json_bytes({**self._turn, "outcome": outcome}) + b"\n"
        self._turn = None
        try:
            self._append(line)
            self._may_warn = True
        except OSError as error:
            if self._may_warn:  # once, until a write succeeds
                log.warning("The history %s cannot be written: %s.", self._file, error.strerror)
            self._may_warn = False

    def _append(self, line: bytes) -> None:
        if len(line) > self._max_bytes:
            return
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(open_private(self._file, os.O_APPEND), "r+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size + len(line) > self._max_bytes:
                kept = newest_lines(file.read(), self._max_bytes // 2 - len(line))
                file.truncate(0)
                line, size = kept + line, 0
            if file.write(line) != len(line):  # half a line would spoil the next
                file.truncate(size)
                raise OSError(28, "No space left on device")


def newest_lines(data: bytes, size: int) -> bytes:
    """The last whole lines that fit into `size` bytes."""
    tail = data[-size:] if size > 0 else b""
    return tail if len(tail) == len(data) else tail.partition(b"\n")[2]


def read(file: Path) -> Iterator[dict[str, object]]:
    """Yield the exchanges, the oldest first; damaged lines are skipped.

    Raises:
        OutputError: the file cannot be read.
    """
    try:
        lines = file.read_bytes().splitlines() if file.is_file() else []
    except OSError as error:
        raise OutputError(f"The history {file} cannot be read: {error.strerror}.") from error
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(line)
            if isinstance(content, dict) and {"time", "seed", "reply"} <= content.keys():
                yield content


def clear(file: Path) -> None:
    """Delete the history.

    Raises:
        OutputError: the file cannot be deleted.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"The history {file} cannot be removed: {error.strerror}.") from error


def as_text(exchange: Mapping[str, object]) -> str:
    """An exchange as text: two lines, with its local time."""
    import time

    when = "?"
    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(exchange["time"]))))
    reply = exchange["reply"]
    text = join_sentences(map(str, reply)) if isinstance(reply, list) else ""
    return f"{when}  You:       {exchange['seed']}\n{' ' * 16}  Afterword: {text}"
