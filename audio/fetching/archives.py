"""Extraction of known files from downloaded archives, which may be damaged or hostile."""

import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from audio.fetching.files import PublishedFile, naming
from audio.fetching.sources import SourceError

_BLOCK_BYTES = 1 << 16


def extract(archive: Path, members: Mapping[str, PublishedFile], target: Path) -> None:
    """Append each member of a zip, or of a gzipped tar (.tgz), to its file below `target`.

    Names of files come from `members`, never from the archive, and only plain files are read, so
    that no entry can write elsewhere. A file may be spread over several archives; none grows beyond
    its published size by more than a byte. What was extracted must still be verified.

    Raises:
        SourceError: the archive is damaged, or a member is missing.
        OSError: the archive cannot be read, or a file cannot be written.
    """
    missing = set(members)
    try:
        for name, stream in _streams(archive, frozenset(members)):
            missing.discard(name)
            _append(stream, target / members[name].path, members[name].size)
    except Exception as error:  # broken archives raise some ten kinds, OSError without errno too
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
            raise
        raise SourceError(f"{_name(archive)} is damaged ({error})") from error
    if missing:
        raise SourceError(f"{_name(archive)} is damaged ({min(missing)} is no file in it)")


def _streams(archive: Path, wanted: frozenset[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """The content of each wanted member that is a plain file."""
    if ".tgz" in archive.suffixes:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name in wanted and member.isreg() and (file := tar.extractfile(member)):
                    yield member.name, file
    else:
        with zipfile.ZipFile(archive) as opened:
            for name in sorted(wanted & set(opened.namelist())):
                with opened.open(name) as file:
                    yield name, file


def _append(stream: IO[bytes], path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("ab") as file:
        room = size + 1 - file.tell()
        while block := stream.read(min(_BLOCK_BYTES, room)):
            room -= file.write(block)


def _name(archive: Path) -> str:
    return archive.name.removesuffix(".part")
