"""The log of a training: one line of JSON a step or validation, and TensorBoard if asked for."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import Any

from config.errors import ConfigError, OutputError
from config.installation import add_extra_command
from model.checkpoints.weights_file import write_bytes

Record = Callable[[Mapping[str, Any]], None]


@contextmanager
def open_log(folder: Path, *, tensorboard: bool, quiet: bool = False) -> Iterator[Record]:
    """A function that appends the values of a step or validation; with `quiet` it does nothing.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
        OutputError: the log cannot be written, now or at a later value.
    """
    path = Path(os.devnull) if quiet else folder / "log.jsonl"
    with ExitStack() as stack:
        with _as_output_error(path):
            file = stack.enter_context(path.open("ab", buffering=0))
        board = None
        if tensorboard and not quiet:
            board = stack.enter_context(_open_board(folder / "tensorboard"))

        def record(values: Mapping[str, Any]) -> None:
            with _as_output_error(path):
                _append(file, json.dumps(values).encode() + b"\n")
            for name, value in values.items():
                if board and name != "step" and isinstance(value, int | float):
                    board.add_scalar(name, value, values["step"])

        yield record


def drop_later(folder: Path, step: int) -> None:
    """Drop what the log tells of steps after this one, which a resumed training repeats.

    The training was killed, and its last state is older than its log; half a line, too, is dropped.

    Raises:
        OutputError: the log cannot be written.
    """
    path = folder / "log.jsonl"
    with _as_output_error(path):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _is_until(line, step)]
        if len(kept) < len(lines):
            write_bytes(path, b"".join(kept))


def _is_until(line: bytes, step: int) -> bool:
    try:
        values = json.loads(line)
        return line.endswith(b"\n") and int(values.get("step", 0)) <= step
    except (ValueError, TypeError, AttributeError):
        return False


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error


def _append(file: FileIO, line: bytes) -> None:
    """Write a whole line or nothing: half a line would make the log unreadable."""
    before = file.seek(0, os.SEEK_END)
    if file.write(line) != len(line):
        file.truncate(before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _open_board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            f"TensorBoard is not installed: `{add_extra_command('tensorboard')}` brings it; or "
            "leave out --tensorboard."
        ) from error
    return SummaryWriter(str(folder))
