"""The lock of the one daemon a user may run: `flock` on a file beside the control socket."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from config.errors import OutputError, RefusedError


@contextlib.contextmanager
def single_instance_lock(path: Path) -> Iterator[int]:
    """Hold the lock of the only daemon of this user, beside the socket at `path`.

    Makes the folder, private to the user. The kernel frees the lock however a process ends, so a
    dead daemon's files are no obstacle.

    Yields:
        the number of daemons that crashed or failed since one ended in order.

    Raises:
        RefusedError: another daemon runs.
        OutputError: the folder cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        lock = path.with_suffix(".lock").open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(
            f"The folder {path.parent} for the control socket cannot be used: {error.strerror}."
        ) from error
    with lock:
        restarts = _lock(lock, path)
        try:
            yield restarts
        except (SystemExit, KeyboardInterrupt):
            lock.truncate(0)
            raise
        lock.truncate(0)  # not after an error: the next start counts it


def _lock(lock: IO[str], path: Path) -> int:
    """Lock the file; write this process's number and the count of crashes before it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = False
    except OSError:
        held = True
    lock.seek(0)
    left = lock.read(40).split()
    if held:
        raise RefusedError(
            f"Afterword is running already: process {left[0] if left else 'unknown'} holds "
            f"{path}; end it with `afterword stop`."
        )
    restarts = int(left[1]) + 1 if len(left) == 2 and left[1].isdecimal() else 0
    lock.truncate(0)
    with contextlib.suppress(OSError):  # a full disk: the lock itself needs no space
        os.write(lock.fileno(), f"{os.getpid()} {restarts}\n".encode())
    return restarts
