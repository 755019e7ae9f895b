"""A folder of downloaded files that is complete or not there: lock, scratch folder, one rename."""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from config import paths
from config.errors import OutputError

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def place(
    title: str,
    folder: Path,
    is_complete: Callable[[], bool],
    gather: Callable[[Path], None],
    room_bytes: int,
) -> bool:
    """Fill `folder`, unless it is complete; safe beside another process that does so.

    `gather` gets an empty scratch folder on the same disk; it makes the subfolder `new` of it, with
    the files in it, and verifies them. In an error's sentence, `title` says what the files are and
    `room_bytes` how much the disk must hold meanwhile.

    Returns:
        whether it was filled now.

    Raises:
        DownloadError: `gather` raised it.
        OutputError: there is no space or no permission.
    """
    if is_complete():
        return False  # before the lock, for the home may be read-only
    try:
        with _locked(folder):
            if is_complete():
                return False  # another process was faster
            _remove_leftovers(folder)
            with tempfile.TemporaryDirectory(
                prefix=f".{folder.name}.", dir=folder.parent
            ) as scratch:
                gather(Path(scratch))
                _rename(Path(scratch) / "new", folder)
                return True
    except OSError as error:
        raise _output_error(title, folder, room_bytes, error) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock against another download to the folder; the lock ends with the process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(folder: Path) -> None:
    """Delete the scratch folders of killed downloads; with the lock held, none is in use."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)


def _rename(new: Path, folder: Path) -> None:
    if folder.exists():  # it is damaged, or to be replaced
        folder.rename(new.with_name("old"))
    new.rename(folder)


def _output_error(title: str, folder: Path, room_bytes: int, error: OSError) -> OutputError:
    where = Path(os.fsdecode(error.filename or folder.parent))
    if where.is_relative_to(folder.parent):
        where = folder.parent  # without the scratch folder, which is gone
    if error.errno in _NO_ROOM:
        remedy = f"free {room_bytes / 1e6:.0f} MB there, then fetch again"
    else:
        in_cache = where.is_relative_to(paths.cache_folder())
        variable = "XDG_CACHE_HOME" if in_cache else "XDG_DATA_HOME"
        remedy = f"make that writable, or set {variable} to another folder"
    return OutputError(f"{title} cannot be stored: {where}: {error.strerror or error}; {remedy}.")
