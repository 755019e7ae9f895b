"""What was said and answered, in words, where the user wants it kept: one JSON object a line.

Off by default. The file is for its owner alone, and never larger than was asked for: the oldest
exchanges go first.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from audio.pcm import AudioChunk
from config.errors import OutputError
from config.paths import state_folder

log = logging.getLogger(__name__)


def history_file() -> Path:
    """Where it lies."""
    return state_folder() / "history.jsonl"


class History:
    """Keeps each exchange when it is over. For the loop's thread; a full disk does not end it."""

    def __init__(self, file: Path, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._turn: dict[str, object] | None = None
        self._reply: list[object] = []
        self._complains = True

    def on_event(self, event: Mapping[str, object]) -> None:
        """Note an event, as those who follow the daemon get it."""
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
                self._keep(outcome)

    def on_audio(self, chunk: AudioChunk) -> None:
        """Sound is not kept here."""

    def on_tick(self) -> None:
        """Time alone changes nothing."""

    def close(self) -> None:
        """Keep an exchange that will not come to its end."""
        self._keep("cancelled")

    def _is_under_way(self, turn: object) -> bool:
        return self._turn is not None and self._turn["turn"] == turn

    def _keep(self, outcome: object) -> None:
        if self._turn is None:
            return
        del self._turn["turn"]
        line = json.dumps({**self._turn, "outcome": outcome}, ensure_ascii=False)
        self._turn = None
        try:
            self._append(line.encode("utf-8", "replace") + b"\n")
            self._complains = True
        except OSError as error:
            if self._complains:  # once, not at every exchange
                log.warning("The history %s cannot be written: %s.", self._file, error.strerror)
            self._complains = False

    def _append(self, line: bytes) -> None:
        if len(line) > self._max_bytes:
            return
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            os.fchmod(handle, 0o600)
            size = os.fstat(handle).st_size
            if size + len(line) > self._max_bytes:
                kept = newest_lines(file.read(), self._max_bytes // 2 - len(line))
                file.truncate(0)
                line, size = kept + line, 0
            if file.write(line) != len(line):  # half a line would spoil the next
                file.truncate(size)
                raise OSError(28, "No space left on device")


def newest_lines(data: bytes, size: int) -> bytes:
    """As many whole lines of the end as fit into `size` bytes."""
    tail = data[-size:] if size > 0 else b""
    return tail if len(tail) == len(data) else tail.partition(b"\n")[2]


def read(file: Path) -> Iterator[dict[str, object]]:
    """The kept exchanges, the oldest first; lines that are damaged are left out.

    Raises:
        OutputError: the file cannot be read.
    """
    try:
        lines = file.read_bytes().splitlines() if file.exists() else []
    except OSError as error:
        raise OutputError(f"The history {file} cannot be read: {error.strerror}.") from error
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(line)
            if isinstance(content, dict) and {"time", "seed", "reply"} <= content.keys():
                yield content


def clear(file: Path) -> None:
    """Remove it.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"The history {file} cannot be removed: {error.strerror}.") from error


def in_words(exchange: Mapping[str, object]) -> str:
    """An exchange as people read it."""
    import time

    when = "?"
    with contextlib.suppress(TypeError, ValueError, OverflowError, OSError):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(float(str(exchange["time"]))))
    reply = exchange["reply"]
    said = " ".join(map(str, reply)) if isinstance(reply, list) else ""
    return f"{when}  You:       {exchange['seed']}\n{' ' * 16}  Afterword: {said}"
