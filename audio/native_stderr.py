"""Keeps the chatter of C libraries off the terminal; what the user needs, we say ourselves."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MUTING = threading.Lock()


def keep_stderr_for_python() -> None:
    """Let all that C libraries ever print vanish; Python writes through a copy of standard error.

    PortAudio's threads print whenever a sound server dies, so no `with` block can hold them.
    """
    sys.stderr.flush()
    copy = os.dup(2)  # child processes do not inherit it
    sys.stderr = os.fdopen(
        copy, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    _point_at_nowhere(2)


def let_c_libraries_speak() -> None:
    """Undo that for them, for somebody who looks for a fault."""
    if sys.stderr.fileno() != 2:
        os.dup2(sys.stderr.fileno(), 2)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep C libraries from writing to standard error, as ALSA and Kaldi like to.

    This holds for the whole process, so keep what happens inside short. The lock keeps a second
    thread from taking the muted standard error for the real one.
    """
    with _MUTING:
        yield from _muted()


def _muted() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error to keep quiet
        yield
        return
    try:
        _point_at_nowhere(2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _point_at_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
