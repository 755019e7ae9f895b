"""Where weights lie, and those that lay there before: found, listed, kept, put back.

The user's own weights are `$XDG_DATA_HOME/afterword/weights/<language>.safetensors`. When those of
another training take their place, they move to `previous/` beside them, named after the moment they
were made (`en-20261124-120301`); the last KEPT of them stay. Every step is one rename, so that a
daemon that reads meanwhile sees whole files only. Nothing heavy is imported here.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from config import paths
from config.errors import OutputError, WeightsError

KEPT = 5  # previous weights of a language; 20 MB each
SHIPPED = "shipped"
"""How the weights that come with Afterword are called beside the user's own."""
TRAIN = "train some with `python -m model.train --corpus FILE --out FOLDER`"
_LARGEST_HEADER = 2**20  # bytes; ours have 5000
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class WeightsInfo:
    """One weights file as its header describes it; nothing of it has been loaded.

    Attributes:
        name: what `use` knows it by.
        made_at: when it was written, Unix seconds.
        size: bytes.
        language: "en" or "zh"; empty where the file does not tell, as a damaged one.
        bits_per_byte: on the held-out texts of its own training; None where it was not written.
        provenance: where it comes from, in a sentence or two.
    """

    name: str
    path: Path
    made_at: float
    size: int
    language: str
    bits_per_byte: float | None
    provenance: str


def shipped_weights(language: str) -> Path:
    """The weights that come with this package.

    Raises:
        WeightsError: none come for this language.
    """
    path = Path(str(resources.files("model").joinpath("weights", language + _SUFFIX)))
    if not path.is_file():
        raise WeightsError(
            f'No weights come with afterword for the language "{language}"; {TRAIN}.'
        )
    return path


def own_weights(language: str) -> Path:
    """Where the user's own weights lie, or would."""
    return paths.data_folder() / "weights" / (language + _SUFFIX)


def find_weights(language: str, configured: str | None) -> Path:
    """The weights to use: the configured file, else the user's own, else the shipped ones.

    Raises:
        WeightsError: the configured file is missing, or there are none for this language.
    """
    if configured is not None:
        path = Path(configured).expanduser()
        if not path.is_file():
            raise WeightsError(
                f"The weights file {path} is missing; check model.weights or {TRAIN}."
            )
        return path
    own = own_weights(language)
    return own if own.is_file() else shipped_weights(language)


def keep(path: Path, training: str = "") -> None:
    """Let what lies at `path` be found in `previous/` when it is replaced; it also stays in place.

    Args:
        path: a weights file that is about to be replaced; it may be missing.
        training: of what replaces it. Weights of the same training are not kept: it writes new ones
            every few minutes.

    Raises:
        OutputError: the folder cannot be written.
    """
    if path.is_file() and not (training and _metadata(path).get("training") == training):
        with _told(path):
            _keep(path)
            _forget_the_oldest(path)


def previous(path: Path) -> list[WeightsInfo]:
    """What lay at `path` before; the one that was replaced last comes first."""
    found = [old for old in _latest_replaced(path) if not (path.exists() and old.samefile(path))]
    return [describe(old) for old in found[:KEPT]]


def describe(path: Path) -> WeightsInfo:
    """What a weights file tells of itself, a damaged one little.

    Raises:
        WeightsError: it is gone.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise WeightsError(f"The weights file {path} is missing; {TRAIN}.") from error
    told = _metadata(path)
    bits = None
    with contextlib.suppress(ValueError):
        bits = float(told.get("bits_per_byte", ""))
    language, provenance = told.get("language", ""), told.get("provenance", "")
    return WeightsInfo(
        _name(path), path, status.st_mtime, status.st_size, language, bits, provenance
    )


def use(language: str, name: str) -> Path:
    """Put weights in the place of the user's own, and keep what lay there; returns their path.

    Args:
        language: "en" or "zh".
        name: of one of `previous`, or SHIPPED.

    Raises:
        WeightsError: there are none of this name.
        OutputError: the folder cannot be written.
    """
    own = own_weights(language)
    if name == SHIPPED:
        shipped = shipped_weights(language)
        keep(own)
        with _told(own):
            own.unlink(missing_ok=True)
        return shipped
    if own.is_file() and name == _name(own):
        return own
    known = {old.name: old.path for old in previous(own)}
    if name not in known:
        names = ", ".join([*known, SHIPPED])
        raise WeightsError(f'No weights are called "{name}"; choose one of: {names}.')
    with _told(own):
        if own.is_file():
            _keep(own)
        known[name].replace(own)
        _forget_the_oldest(own)
    return own


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be kept or replaced: {error.strerror}.") from error


def _keep(path: Path) -> None:
    folder = path.parent / "previous"
    folder.mkdir(exist_ok=True)
    place = folder / (_name(path) + _SUFFIX)
    if not (place.exists() and place.samefile(path)):
        _link(path, place)


def _forget_the_oldest(path: Path) -> None:
    for old in _latest_replaced(path)[KEPT:]:
        old.unlink(missing_ok=True)


def _latest_replaced(path: Path) -> list[Path]:
    """The files in `previous/`, by when they came there: linking and renaming set that time."""
    found = (path.parent / "previous").glob(f"{path.stem}-*{_SUFFIX}")
    return sorted(found, key=lambda old: (old.stat().st_ctime_ns, old.name), reverse=True)


def _name(path: Path) -> str:
    """The file's own name where it has been kept, else the one that it will have."""
    if path.parent.name == "previous":
        return path.stem
    with contextlib.suppress(WeightsError):
        if path == shipped_weights(path.stem):
            return SHIPPED
    made = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    return f"{path.stem}-{made}"


def _link(path: Path, place: Path) -> None:
    """Give a file a second name, replacing what has that name; a copy where links cannot be."""
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:  # vfat and the like
            shutil.copy2(path, temporary)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)


def _metadata(path: Path) -> dict[str, str]:
    """The text in a safetensors file's header; nothing where it cannot be read.

    https://huggingface.co/docs/safetensors/index#format
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: Any = json.loads(file.read(length)) if length <= _LARGEST_HEADER else {}
    except (OSError, ValueError, RecursionError):
        return {}
    told = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(told, dict):
        return {}
    return {key: value for key, value in told.items() if isinstance(value, str)}
