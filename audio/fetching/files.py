"""Published files: what a manifest knows of each, and the checks of those on disk."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

State = Literal["ready", "missing", "damaged"]


@dataclass(frozen=True)
class PublishedFile:
    """A file of a model or voice: `path` inside its folder, `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


def published_files(entries: Mapping[str, dict[str, Any]]) -> tuple[PublishedFile, ...]:
    """The files of a manifest, which gives size and SHA-256 by path."""
    return tuple(PublishedFile(path, **entry) for path, entry in entries.items())


def total_size(files: Iterable[PublishedFile]) -> int:
    """The size of all files, in bytes."""
    return sum(file.size for file in files)


def state_of(files: Iterable[PublishedFile], folder: Path) -> State:
    """Whether the files are in `folder`, by their names and sizes alone."""
    if not folder.is_dir():
        return "missing"
    return "damaged" if quick_problems(files, folder) else "ready"


def is_complete(files: Iterable[PublishedFile], folder: Path) -> bool:
    """Whether the files are in `folder`, each of them as published."""
    return folder.is_dir() and not full_problems(files, folder)


def quick_problems(files: Iterable[PublishedFile], folder: Path) -> list[str]:
    """Problems of the files in `folder`, judged by size; empty if there is none."""
    return _problems(files, folder, lambda file, path: path.stat().st_size == file.size)


def full_problems(files: Iterable[PublishedFile], folder: Path) -> list[str]:
    """Problems of the files in `folder`, judged by SHA-256; empty if there is none."""
    return _problems(files, folder, lambda file, path: sha256_of(path) == file.sha256)


def _problems(
    files: Iterable[PublishedFile], folder: Path, is_right: Callable[[PublishedFile, Path], bool]
) -> list[str]:
    problems = []
    for file in files:
        path = folder / file.path
        if not path.is_file():
            problems.append(f"{file.path} is missing")
        elif path.stat().st_size < file.size:
            problems.append(f"{file.path} is cut short")
        elif not is_right(file, path):
            problems.append(f"{file.path} is not as published")
    return problems


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
