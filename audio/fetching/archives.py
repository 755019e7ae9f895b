"""Unpacking of known files from downloaded archives, which may be damaged or hostile."""

import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from audio.fetching.files import PublishedFile, full_problems
from audio.fetching.sources import SourceError
from config.errors import DownloadError

_BLOCK_BYTES = 1 << 20


def unpack(title: str, archives: Mapping[Path, Mapping[str, PublishedFile]], target: Path) -> None:
    """Extract the members of packages below `target`, a new folder, and check each file.

    The packages have the right SHA-256, so a fault is a mistake in their manifest. In an error's
    sentence, `title` says what they are for.

    Args:
        title: for messages.
        archives: by each package's path in the order of extraction, its members; see `extract`.
        target: the folder of the files.

    Raises:
        DownloadError: a package is damaged, or a file is missing or not as published.
        OSError: a file cannot be written.
    """
    try:
        for archive, members in archives.items():
            extract(archive, members, target)
    except SourceError as failure:
        raise _no_unpacking(title, str(failure)) from failure
    files = [file for members in archives.values() for file in members.values()]
    check(title, dict.fromkeys(files), target)  # one in parts only once


def check(title: str, files: Iterable[PublishedFile], folder: Path) -> None:
    """Refuse unpacked files that are not as published; `title` says what they are for.

    Raises:
        DownloadError: a file is missing, or its size or SHA-256 is another.
    """
    if problems := full_problems(files, folder):
        raise _no_unpacking(title, problems[0])


def _no_unpacking(title: str, reason: str) -> DownloadError:
    return DownloadError(f"{title} could not be unpacked: {reason}.")


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
