"""Extraction of known files from downloaded archives, which may be damaged or hostile."""

import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from audio.fetching.files import PublishedFile
from audio.fetching.sources import SourceError

_BLOCK_BYTES = 1 << 20


def extract(archive: Path, members: Mapping[str, PublishedFile], target: Path) -> None:
    """Append each member of a zip, or of a gzipped tar (.tgz), to its file below `target`.

    Names of files come from `members`, never from the archive, and only plain files are read, so
    that no entry can write elsewhere. A file may be spread over several archives. Of each member no
    more is read than the published size of its file, and a byte. The files must still be verified.

    Raises:
        SourceError: the archive is damaged, or a member is missing.
        OSError: a file cannot be written.
    """
    missing = set(members)
    for name, block in _content(archive, members):
        missing.discard(name)
        path = target / members[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(block)
    if missing:
        raise SourceError(f"{_name(archive)} is damaged ({min(missing)} is no file in it)")


def _content(archive: Path, members: Mapping[str, PublishedFile]) -> Iterator[tuple[str, bytes]]:
    """The members that are plain files in blocks, the first of which is empty."""
    try:
        for name, stream in _streams(archive, members):
            yield name, b""
            left = members[name].size + 1
            while block := stream.read(min(_BLOCK_BYTES, left)):
                left -= len(block)
                yield name, block
    except MemoryError:
        raise
    except Exception as error:  # those of a broken archive are of some ten kinds
        raise SourceError(f"{_name(archive)} is damaged ({error})") from error


def _streams(
    archive: Path, members: Mapping[str, PublishedFile]
) -> Iterator[tuple[str, IO[bytes]]]:
    if ".tgz" in archive.suffixes:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.name in members and member.isreg() and (file := tar.extractfile(member)):
                    yield member.name, file
    else:
        with zipfile.ZipFile(archive) as opened:
            for name in members.keys() & set(opened.namelist()):
                with opened.open(name) as file:
                    yield name, file


def _name(archive: Path) -> str:
    return archive.name.removesuffix(".part")
