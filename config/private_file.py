"""Makes files and sockets that only their owner may use, and that are no links to others."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def open_private(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing, and make it where it is missing; its descriptor.

    A symbolic link is refused, because what is written here would replace the file that it names;
    and so is anything but a regular file, because a pipe would block the caller.

    Args:
        path: the file; its folder must be there.
        flags: of `os.open`, beside those for the above.

    Raises:
        OSError: it is a link or no regular file, or cannot be opened or made private.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link; remove it") from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file; remove it")
        os.fchmod(handle, 0o600)
    except OSError:
        os.close(handle)
        raise
    return handle


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """Make sockets private from their first moment.

    This affects the whole process, so the block must be short.
    """
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
