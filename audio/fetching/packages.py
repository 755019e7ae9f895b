"""Archives that are known by their SHA-256, so that any place may serve them."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audio.fetching.files import sha256_of
from audio.fetching.sources import (
    SourceError,
    download_checked,
    downloads_folder,
    naming,
    pip_download,
)
from config.errors import DownloadError

_NPM_REGISTRY = "https://registry.npmjs.org/"


@dataclass(frozen=True)
class Package:
    """A published archive.

    Attributes:
        name: of its file.
        address: where it is published.
        requirement: pip's name for it, if it is a wheel.
        size: in bytes.
        sha256: in hex.
    """

    name: str
    address: str
    requirement: str | None
    size: int
    sha256: str


def fetch_package(title: str, package: Package, scratch: Path, say: Callable[[str], None]) -> Path:
    """As `obtain`; in an error's sentence, `title` says what the package is for.

    Raises:
        DownloadError: no place can serve it.
        OSError: it cannot be written.
    """
    try:
        return obtain(package, scratch, say)
    except SourceError as failure:
        raise DownloadError(
            f"{title} could not be fetched: {failure}; try again, or put {package.name} into "
            f"{downloads_folder()}."
        ) from failure


def obtain(package: Package, scratch: Path, say: Callable[[str], None]) -> Path:
    """The package in the downloads folder; it is downloaded unless it is there.

    `scratch`, a folder on the disk that the files are for, is where pip works.

    Raises:
        SourceError: no place can serve it.
        OSError: it cannot be written.
    """
    archive = downloads_folder() / package.name
    if archive.is_file() and sha256_of(archive) == package.sha256:
        return archive  # of an interrupted run, or put there by the user
    part = archive.with_name(f"{archive.name}.part")
    attempts = [partial(_from_web, package, address, part) for address in _addresses(package)]
    if package.requirement:
        attempts.append(partial(_from_pip, package, package.requirement, part, scratch))
    failures: list[str] = []
    for attempt in attempts:
        if failures:
            say(f"{failures[-1]}; trying another place.")
        try:
            attempt()
        except SourceError as failure:
            failures.append(str(failure))
        else:
            return part.replace(archive)
    raise SourceError("; ".join(failures))


def _addresses(package: Package) -> list[str]:
    """The package's address, behind that in the user's mirror of npm's registry if there is one."""
    variables = ("NPM_CONFIG_REGISTRY", "npm_config_registry")  # npm reads both
    mirror = next(filter(None, map(os.environ.get, variables)), None)
    if not mirror or not package.address.startswith(_NPM_REGISTRY):
        return [package.address]
    path = package.address.removeprefix(_NPM_REGISTRY)
    return [f"{mirror.rstrip('/')}/{path}", package.address]


def _from_web(package: Package, address: str, part: Path) -> None:
    download_checked(address, part, package.size, lambda archive: _check(package, archive))


def _from_pip(package: Package, requirement: str, part: Path, scratch: Path) -> None:
    wheel = pip_download(requirement, scratch)
    _check(package, wheel)
    with naming(part):
        shutil.move(wheel, part)


def _check(package: Package, archive: Path) -> None:
    if sha256_of(archive) != package.sha256:
        raise SourceError(f"{package.name} is not the published one (its SHA-256 is another)")
