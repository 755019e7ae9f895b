"""Keeps the chatter of C libraries off the terminal; what the user needs, we say ourselves."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_MUTING = threading.Lock()


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
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
