"""Larger Vosk models by name, from the official archive, as it is: few of its SHA-256 are known."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from audio.fetching.archives import extract
from audio.fetching.files import PublishedFile, sha256_of
from audio.fetching.placing import place
from audio.fetching.sources import SourceError, download_checked, downloads_folder
from audio.stt.vosk_download import Say
from audio.stt.vosk_models import models_folder
from config.errors import DownloadError

ARCHIVE = "https://alphacephei.com/vosk/models"


@dataclass(frozen=True)
class LargerModel:
    """A model of the official archive.

    Attributes:
        name: the publisher's, also that of its folder and archive.
        megabytes: size of the archive, about.
        setting: that takes the name: hearing.model, or hearing.careful_model for one whose graph
            takes no trigger phrases.
        sha256: of the archive, in hex, where it is known.
    """

    name: str
    megabytes: int
    setting: str
    sha256: str | None = None

    @property
    def folder(self) -> Path:
        """Its place, also while it is not downloaded yet."""
        return models_folder() / self.name


# The SHA-256 is that of a copy published on GitHub (sl5net/Vosk-System-Listener).
LARGER_MODELS: Mapping[str, LargerModel] = MappingProxyType(
    {
        "en-lgraph": LargerModel("vosk-model-en-us-0.22-lgraph", 128, "hearing.model"),
        "en-large": LargerModel(
            "vosk-model-en-us-0.22",
            1800,
            "hearing.careful_model",
            "d410847b53faf1850f2bb99fb7a08adcb49dd236dcba66615397fe57a3cf68f5",
        ),
        "zh-large": LargerModel("vosk-model-cn-0.22", 1300, "hearing.careful_model"),
    }
)


def fetch(model: LargerModel, say: Say, archive: str = ARCHIVE) -> Path:
    """Download a model to its folder, whole or not at all, unless it is there.

    Raises:
        DownloadError: `archive`, an address, cannot serve it.
        OutputError: there is no space or no permission.
    """
    address = f"{archive}/{model.name}.zip"
    try:
        place(
            f"The Vosk model {model.name}",
            model.folder,
            model.folder.is_dir,
            lambda scratch: _gather(model, address, scratch / "new", say),
            room_bytes=3 * model.megabytes * 1_000_000,  # the archive, and what is in it
        )
    except SourceError as failure:
        raise DownloadError(
            f"The Vosk model {model.name} could not be fetched: {failure}; try again, or unpack "
            f"{address} to {model.folder}."
        ) from failure
    return model.folder


def _gather(model: LargerModel, address: str, new: Path, say: Say) -> None:
    say(f"Fetching {model.name} ({model.megabytes} MB); set {model.setting} to its name.")
    part = downloads_folder() / f"{model.name}.zip.part"
    limit = round(1.2 * model.megabytes * 1_000_000)
    download_checked(address, part, limit, lambda path: _check(model, path))
    extract(part, _members(part, model.name), new)
    part.unlink()


def _check(model: LargerModel, archive: Path) -> None:
    if model.sha256 and sha256_of(archive) != model.sha256:
        raise SourceError(f"{model.name}.zip is not the published one (its SHA-256 is another)")
    if f"{model.name}/am/final.mdl" not in _members(archive, model.name):
        raise SourceError(f"{model.name}.zip holds no Vosk model")


def _members(archive: Path, name: str) -> dict[str, PublishedFile]:
    """The files in the model's folder of a zip, by member; no path leads out of that folder."""
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise SourceError(f"{name}.zip is damaged ({error})") from error
    found = {}
    for info in infos:
        path = PurePosixPath(info.filename)
        if path.parts[0] == name and ".." not in path.parts:
            inside = str(path.relative_to(name))
            found[info.filename] = PublishedFile(inside, info.file_size, "")
    return found
