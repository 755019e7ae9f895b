"""Keeps messages of C libraries off the terminal; those the user needs come from Python."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MUTED = threading.Lock()


def keep_stderr_for_python() -> None:
    """Discard all that C libraries print; Python writes to a copy of standard error.

    PortAudio's threads print whenever a sound server dies, which no `with` block can contain.
    """
    sys.stderr.flush()
    copy = os.dup(2)  # child processes do not inherit it
    sys.stderr = os.fdopen(
        copy, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    _redirect_to_null(2)


def let_c_libraries_speak() -> None:
    """Undo `keep_stderr_for_python`, for debugging."""
    if sys.stderr.fileno() != 2:
        os.dup2(sys.stderr.fileno(), 2)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what C libraries, such as ALSA and Kaldi, write to standard error meanwhile.

    This affects the whole process, so the block must be short. The lock keeps a second thread from
    taking the muted standard error for the real one.
    """
    with _MUTED:
        yield from _muted()


def _muted() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        _redirect_to_null(2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _redirect_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
