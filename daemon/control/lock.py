"""The lock of the one daemon a user may run: `flock` on a file beside the control socket."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from config.errors import OutputError, RefusedError
from config.private_file import open_private


@contextlib.contextmanager
def single_instance_lock(path: Path) -> Iterator[int]:
    """Hold the lock of the only daemon of this user, beside the socket at `path`.

    Makes the folder, private to the user. The kernel frees the lock however a process ends, so a
    dead daemon's files are no obstacle. Links are refused: the lock is emptied when it is taken,
    and must not empty another file.

    Yields:
        the number of daemons that crashed or failed since one ended in order.

    Raises:
        RefusedError: another daemon runs.
        OutputError: the folder or the lock cannot be made.
    """
    folder, file = path.parent, path.with_suffix(".lock")
    try:
        _make_private(folder)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} for the control socket cannot be used: {error.strerror}."
        ) from error
    try:
        lock = _open(file)
    except OSError as error:
        raise OutputError(f"The lock {file} cannot be used: {error.strerror}.") from error
    with lock:
        restarts = _lock(lock, path)
        try:
            yield restarts
        except (SystemExit, KeyboardInterrupt):
            lock.truncate(0)
            raise
        lock.truncate(0)  # not after an error: the next start counts it


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link; remove it")
    folder.chmod(0o700)


def _open(file: Path) -> IO[str]:
    # Text that is not ours is no error: it is replaced, as a dead daemon's is.
    lock = os.fdopen(open_private(file, os.O_APPEND), "a+", encoding="ascii", errors="replace")
    if os.fstat(lock.fileno()).st_nlink > 1:
        lock.close()
        raise OSError(errno.EMLINK, "it is a link to another file; remove it")
    return lock


def _lock(lock: IO[str], path: Path) -> int:
    """Lock the file; write this process's number and the count of crashes before it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = False
    except OSError:
        held = True
    lock.seek(0)
    left = lock.read(40).split()
    number = left[0] if left and left[0].isdecimal() else "unknown"
    if held:
        raise RefusedError(
            f"Afterword is running already: process {number} holds {path}; end it with "
            "`afterword stop`."
        )
    restarts = int(left[1]) + 1 if len(left) == 2 and left[1].isdecimal() else 0
    lock.truncate(0)
    with contextlib.suppress(OSError):  # a full disk: the lock itself needs no space
        os.write(lock.fileno(), f"{os.getpid()} {restarts}\n".encode())
    return restarts
