"""Weights that are fetched: which there are, where they lie, and which of them the user has chosen.

`afterword weights fetch NAME` puts them into `$XDG_DATA_HOME/afterword/weights/fetched/NAME`, as
`LANGUAGE.safetensors` with their licence beside it; no training writes there. `afterword weights
use NAME` writes the name into `weights/LANGUAGE.chosen`, which holds until others are chosen, or
none: `afterword weights use auto`.

What a training of all their parameters has made of fetched weights (model/checkpoints/trained.py)
lies in `weights/trained/NAME` and is found in the same way.
"""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from config import paths
from config.errors import WeightsError

SUFFIX = ".safetensors"
LARGE = "large"
"""Name of the fetched weights that continue what is no story."""
AUTO = "auto"
"""In place of a name: each seed chooses between the small weights and the large."""
SMALL = "small"
"""Name of the user's own weights, or of the shipped ones where there are none."""
_RESERVED_NAMES = frozenset((AUTO, SMALL, "previous", "shipped"))
_TRAINED = re.compile(r"(.+)-full-\d{8}-\d{6}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LONGEST_ROOT = 40  # characters of it, to which those of date and time are added


@dataclass(frozen=True)
class FetchableWeights:
    """Weights that can be downloaded, as `model/weights/fetchable.json` describes them.

    Attributes:
        name: as `afterword weights` takes it.
        title: the name of the model.
        about: what they write about.
        language: the one that they speak, such as "en".
        licence: SPDX names.
        provenance: where they come from, in a sentence.
        package: the archive that holds them: name, address, requirement, size and SHA-256.
        members: the files in it that are needed: path, size and SHA-256 of each, by its name there.
        source: path of the file that is converted.
        manner: how a seed is written for them (model.text.manner).
        size: of all that stays on the disk, in bytes; rounded.
        notice: whose they are and what was changed, as their licence asks for.
    """

    name: str
    title: str
    about: str
    language: str
    licence: str
    provenance: str
    package: Mapping[str, Any]
    members: Mapping[str, Mapping[str, Any]]
    source: str
    manner: Mapping[str, Any]
    size: int
    notice: str


def catalogue() -> Mapping[str, FetchableWeights]:
    """The weights that can be downloaded, by name."""
    text = resources.files("model").joinpath("weights", "fetchable.json").read_text("utf-8")
    return {name: FetchableWeights(name, **entry) for name, entry in json.loads(text).items()}


def weights_folder() -> Path:
    """The folder of all of the user's weights, which need not exist."""
    return paths.data_folder() / "weights"


def folder_of(name: str) -> Path:
    """The folder of fetched weights, or of what was trained of them; it need not exist."""
    return weights_folder() / ("trained" if is_trained(name) else "fetched") / name


def is_trained(name: str) -> bool:
    """Whether a name is that of weights that a training of all parameters has made."""
    return bool(_TRAINED.fullmatch(name))


def base_of(name: str) -> str:
    """The name of the weights that a training has made others of; of all others, their own."""
    trained = _TRAINED.fullmatch(name)
    return trained.group(1) if trained else name


def new_trained_name(base: str) -> str:
    """The name of what a training makes now of all parameters of these weights."""
    root = base_of(base)[:_LONGEST_ROOT]
    return f"{root}-full-{time.strftime('%Y%m%d-%H%M%S', time.localtime())}"


def remove_trained(language: str, name: str) -> None:
    """Remove what a training has made; if it is chosen, each seed chooses from now on.

    Raises:
        OSError: it cannot be removed.
    """
    if chosen(language) == name:
        choose(language, None)
    shutil.rmtree(folder_of(name))


def is_name(text: str) -> bool:
    """Whether a text can be the name of fetched weights."""
    return bool(_NAME.fullmatch(text)) and not text.endswith(SUFFIX) and text not in _RESERVED_NAMES


def is_known(text: str) -> bool:
    """Whether weights of this name are fetched, or can be."""
    return is_name(text) and (folder_of(text).is_dir() or text in catalogue())


def name_of(path: Path) -> str | None:
    """The name of the fetched weights that a weights file belongs to; None for other files."""
    return path.parent.name if path == folder_of(path.parent.name) / path.name else None


def fetched_weights() -> list[Path]:
    """The weights files of all that is fetched, or was trained of it, by name."""
    found = weights_folder().glob(f"*/*/*{SUFFIX}")
    named = (path for path in found if is_name(path.parent.name) and name_of(path))
    return sorted(path for path in named if path.is_file())


def fetch_command(name: str) -> str:
    """The command that makes weights anew; for the user's own models, without their path."""
    if is_trained(name):
        return f"afterword train --weights {base_of(name)} --full"
    return f"afterword weights fetch {name if name in catalogue() else 'PATH'}"


def find_fetched(language: str, name: str) -> Path:
    """Path of the fetched weights of this name.

    Raises:
        WeightsError: they are not fetched, or speak other languages.
    """
    folder, known = folder_of(name), catalogue().get(name)
    path = folder / (language + SUFFIX)
    if path.is_file():
        return path
    spoken = sorted(file.stem for file in folder.glob(f"*{SUFFIX}"))
    if known and not spoken:
        spoken = [known.language]
    if spoken and language not in spoken:
        raise WeightsError(
            f'The weights "{name}" are of the language "{", ".join(spoken)}", not "{language}"; '
            f"use other weights or another language."
        )
    size = f" ({known.package['size'] / 1e6:.0f} MB)" if known else ""
    raise WeightsError(
        f'The weights "{name}" are not in {folder}; run `{fetch_command(name)}`{size}.'
    )


def chosen(language: str) -> str | None:
    """The name of the weights that the user has chosen for a language; None if each seed chooses.

    It is SMALL, or a name of fetched weights.
    """
    text = read_name(_choice_file(language))
    return text if text == SMALL or is_name(text) else None


def choose(language: str, name: str | None) -> None:
    """Choose weights for a language: SMALL, or fetched ones; None lets each seed choose.

    Raises:
        OSError: the choice cannot be written.
    """
    write_name(_choice_file(language), name)


def read_name(file: Path) -> str:
    """The name in a file; empty if there is none."""
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def write_name(file: Path, name: str | None) -> None:
    """Write a name into a file, atomically; None removes the file.

    Raises:
        OSError: it cannot be written.
    """
    if name is None:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(f"{name}\n")
            written.flush()
            os.fsync(written.fileno())
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _choice_file(language: str) -> Path:
    return weights_folder() / f"{language}.chosen"
