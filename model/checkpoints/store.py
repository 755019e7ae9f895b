"""The store of weights files: find, list, archive and restore them.

The user's own weights are `$XDG_DATA_HOME/afterword/weights/<language>.safetensors`. When another
training replaces them, the old ones are archived in `previous/` beside them, named after the time
they were made (`en-20261124-120301`); the last MAX_PREVIOUS stay. Weights that were fetched have
folders of their own (model/checkpoints/fetched.py). Every step is one rename, so that a daemon that
reads at the same time sees whole files only. Nothing heavy is imported here.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from config.errors import AfterwordError, OutputError, WeightsError
from config.installation import install_again_command
from model.checkpoints import adapter_store, fetched
from model.checkpoints.fetched import AUTO, LARGE, SMALL, SUFFIX
from model.checkpoints.metadata.header import read_metadata
from model.checkpoints.metadata.integrity import is_damaged
from model.checkpoints.metadata.scores import Scores, read_scores

MAX_PREVIOUS = 5  # archived files of a language; 20 MB each
SHIPPED = "shipped"
"""Name of the weights that come with Afterword."""
TRAIN_HINT = "train some with `afterword train --corpus FILE --out FOLDER`"
LARGEST_CONTEXT = 8192
"""Tokens; beyond it, keys and values would take gigabytes."""

Stamp = tuple[Path, int, int, int]
"""Path, inode, modification time (ns) and size of a weights file."""


@dataclass(frozen=True)
class WeightsInfo:
    """A weights file as its header describes it; its tensors are not read.

    Attributes:
        name: as `restore` takes it.
        made_at: time of writing, Unix seconds.
        size: bytes.
        language: its code; empty if the header has none, as in a damaged file.
        bits_per_byte: on the held-out texts of its own training; None if the header has none.
        provenance: where the model comes from, in a sentence or two.
        sha256: checksum of the content, as the header has it; empty if it has none.
        stamps: of the file, and of the adapter in place for it if there is one.
        adapter: name of the adapter that they are loaded with; empty if there is none.
        scores: what the training that made them has changed; None if that is not known.
    """

    name: str
    path: Path
    made_at: float
    size: int
    language: str
    bits_per_byte: float | None
    provenance: str
    sha256: str = ""
    stamps: "tuple[Stamp | None, ...]" = ()
    adapter: str = ""
    scores: Scores | None = None

    @property
    def label(self) -> str:
        """The name, with that of the adapter."""
        return adapter_store.with_adapter(self.name, self.adapter)


def shipped_weights(language: str) -> Path:
    """Path of the weights that come with this package.

    Raises:
        WeightsError: there are none for this language.
    """
    path = Path(str(resources.files("model").joinpath("weights", language + SUFFIX)))
    if not path.is_file():
        raise WeightsError(
            f'No weights come with afterword for the language "{language}"; {TRAIN_HINT}.'
        )
    return path


def _shipped_or_none(language: str) -> Path | None:
    with contextlib.suppress(WeightsError):
        return shipped_weights(language)
    return None


def own_weights(language: str) -> Path:
    """Path of the user's own weights, which need not exist."""
    return fetched.weights_folder() / (language + SUFFIX)


def find_weights(language: str, configured: str | None) -> Path:
    """Path of the weights to use.

    These are the configured ones, else those that the user has chosen for this language, else the
    user's own, else the shipped ones.

    Args:
        language: its code, such as "en".
        configured: the setting `model.weights`: a path, SHIPPED, SMALL, or the name of fetched
            weights.

    Raises:
        WeightsError: the configured or chosen ones are missing, or there are none for this
            language.
    """
    wanted = configured or fetched.chosen(language)
    if wanted in (None, SMALL):
        return small_weights(language)
    if wanted == SHIPPED:
        return shipped_weights(language)
    if fetched.is_known(wanted):
        return fetched.find_fetched(language, wanted)
    path = Path(wanted).expanduser()
    if not path.is_file():
        names = "" if "/" in wanted else " (a file, or a name that `afterword weights` lists)"
        raise WeightsError(
            f"The weights file {path} is missing; check model.weights{names} or {TRAIN_HINT}."
        )
    return path


def weights_in_use(language: str, configured: str | None) -> list[Path]:
    """Paths of the weights in use; of two, the small and the large, each seed chooses one.

    Args and errors are those of `find_weights`.
    """
    files = [find_weights(language, configured)]
    if configured is None and fetched.chosen(language) is None:
        with contextlib.suppress(WeightsError):  # not fetched, or of another language
            files.append(fetched.find_fetched(language, LARGE))
    return files


def small_weights(language: str) -> Path:
    """Path of the user's own weights, else of the shipped ones.

    Raises:
        WeightsError: there are none for this language.
    """
    own = own_weights(language)
    return own if own.is_file() else shipped_weights(language)


def stamp_of(language: str, configured: str | None) -> Stamp | None:
    """Stamp of the weights in use, which differs when the file does; None without a file.

    The arguments are those of `find_weights`.
    """
    try:
        return stamp_of_file(find_weights(language, configured))
    except AfterwordError:
        return None


def stamp_of_file(path: Path) -> Stamp | None:
    """Stamp of a file; None without it."""
    try:
        status = path.stat()
    except OSError:
        return None
    return path, status.st_ino, status.st_mtime_ns, status.st_size


def is_of_training(path: Path, training: str) -> bool:
    """Whether a weights file, which may be missing, is of the training of this name."""
    return bool(training) and path.is_file() and read_metadata(path).get("training") == training


def archive(path: Path) -> None:
    """Link a file, which may be missing, into `previous/`; it also stays in place.

    Raises:
        OutputError: the folder cannot be written.
    """
    if path.is_file():
        with as_output_error(path):
            _archive(path)
            _prune(path)


def previous(path: Path) -> list[WeightsInfo]:
    """The archived files of `path`, the one that was replaced last first."""
    found = [old for old in _archived(path) if not (path.exists() and old.samefile(path))]
    return [describe(old) for old in found[:MAX_PREVIOUS]]


def describe(path: Path) -> WeightsInfo:
    """Name, times and header of a weights file; of a damaged one, what can be read.

    Raises:
        WeightsError: the file is missing.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise WeightsError(f"The weights file {path} is missing; {TRAIN_HINT}.") from error
    header = read_metadata(path)
    bits = None
    with contextlib.suppress(ValueError):
        bits = float(header.get("bits_per_byte", ""))
    language, provenance = header.get("language", ""), header.get("provenance", "")
    stamp = path, status.st_ino, status.st_mtime_ns, status.st_size
    adapter = adapter_store.in_place(path)
    return WeightsInfo(
        _name(path),
        path,
        status.st_mtime,
        status.st_size,
        language,
        bits,
        provenance,
        header.get("sha256", ""),
        (stamp, stamp_of_file(adapter)) if adapter else (stamp,),
        scores=read_scores(header),
    )


def remedy(path: Path) -> str:
    """What mends a damaged weights file or adapter, or does without it."""
    name = fetched.name_of(path)
    if name and fetched.is_trained(name):
        return (
            f"`afterword weights use {fetched.base_of(name)}` uses those that they were made of, "
            f"`afterword weights remove {name}` deletes them"
        )
    if name:
        return f"run `{fetched.fetch_command(name)}`"
    if adapter_store.is_shipped(path) or path == _shipped_or_none(path.stem):
        return f"install Afterword again: `{install_again_command()}`"
    if adapter_store.is_adapter(path):
        return (
            f"`afterword weights use {adapter_store.base_name(path)}` takes it off, "
            f"`afterword weights remove {path.stem}` deletes it"
        )
    if path == own_weights(path.stem):
        return f"`afterword weights use {SHIPPED}` uses those that come with Afterword"
    return "use others, which `afterword weights` lists"


def restore(language: str, name: str) -> Path:
    """Use these weights alone from now on; returns their path.

    Fetched weights are chosen and stay where they are, as do the user's own. An adapter is put in
    place for its weights, which are chosen; their own name takes it off again. Archived ones take
    the place of the user's own, which are archived.

    Args:
        language: its code, such as "en".
        name: of fetched weights, of an adapter, of the user's own, of one of `previous`; SHIPPED,
            which archives the user's own; SMALL; or AUTO, after which each seed chooses.

    Raises:
        WeightsError: no weights have this name, or they are not fetched, or damaged.
        OutputError: the folder cannot be written.
    """
    adapter = adapter_store.find_adapter(language, name)
    base = adapter_store.base_name(adapter) if adapter else name
    if adapter or fetched.is_known(name):
        path = fetched.find_fetched(language, base)
        refuse_damaged(*filter(None, (path, adapter)))
        with as_output_error(path):
            adapter_store.put_in_place(language, base, name if adapter else None)
            fetched.choose(language, base)
        return path
    path = small_weights(language) if name in (AUTO, SMALL) else _put_in_place(language, name)
    alone = name != AUTO and _fetched_names(language)
    with as_output_error(path):
        fetched.choose(language, SMALL if alone else None)
    return path


def refuse_damaged(*paths: Path) -> None:
    """Refuse files that could not be loaded (WeightsError)."""
    for path in paths:
        if is_damaged(path):
            raise WeightsError(f"{path} is damaged, and nothing is changed; {remedy(path)}.")


def _put_in_place(language: str, name: str) -> Path:
    """Put weights that are not fetched in the place of the user's own; returns the path."""
    own = own_weights(language)
    if name == SHIPPED:
        shipped = shipped_weights(language)
        refuse_damaged(shipped)
        archive(own)
        with as_output_error(own):
            own.unlink(missing_ok=True)
        return shipped
    if own.is_file() and name == _name(own):
        refuse_damaged(own)
        return own
    known = {old.name: old.path for old in previous(own)}
    if name not in known:
        adapters = [path.stem for path in adapter_store.usable_adapters(language)]
        names = ", ".join(
            [*known, *_fetched_names(language), *adapters, SHIPPED, SMALL, AUTO],
        )
        raise WeightsError(f'No weights are called "{name}"; choose one of: {names}.')
    refuse_damaged(known[name])
    with as_output_error(own):
        if own.is_file():
            _archive(own)
        known[name].replace(own)
        _prune(own)
    return own


def fetched_weights(language: str) -> list[WeightsInfo]:
    """The fetched weights of a language, by name."""
    return [describe(path) for path in fetched.fetched_weights() if path.stem == language]


def _fetched_names(language: str) -> list[str]:
    return [info.name for info in fetched_weights(language)]


@contextlib.contextmanager
def as_output_error(path: Path) -> Iterator[None]:
    """Report a fault of the disk or of permissions as an OutputError that names this path."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be kept or replaced: {error.strerror}.") from error


def _archive(path: Path) -> None:
    folder = path.parent / "previous"
    folder.mkdir(exist_ok=True)
    place = folder / (_name(path) + SUFFIX)
    if not (place.exists() and place.samefile(path)):
        _link(path, place)


def _prune(path: Path) -> None:
    for old in _archived(path)[MAX_PREVIOUS:]:
        old.unlink(missing_ok=True)


def _archived(path: Path) -> list[Path]:
    """The files in `previous/`, latest first: linking and renaming set the time of change."""
    found = filter(Path.is_file, (path.parent / "previous").glob(f"{path.stem}-*{SUFFIX}"))
    return sorted(found, key=lambda old: (old.stat().st_ctime_ns, old.name), reverse=True)


def _name(path: Path) -> str:
    """The name of an archived file, or the one that archiving would give."""
    if path.parent.name == "previous" or adapter_store.is_adapter(path):
        return path.stem
    if name := fetched.name_of(path):
        return name
    if path == _shipped_or_none(path.stem):
        return SHIPPED
    made = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    return f"{path.stem}-{made}"


def _link(path: Path, place: Path) -> None:
    """Hard-link a file to `place`, replacing it; copy where the file system has no links."""
    handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:  # vfat
            shutil.copy2(path, temporary)
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
