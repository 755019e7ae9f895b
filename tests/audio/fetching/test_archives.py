"""Extraction from archives that are whole, damaged or hostile."""

import gzip
import hashlib
import random
import shutil
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from audio.fetching.archives import extract, unpack
from audio.fetching.files import PublishedFile, full_problems
from audio.fetching.sources import SourceError
from config.errors import DownloadError
from tests.support.web_site import made_tar, made_zip

CONTENT = {"model.bin": bytes(range(256)) * 40, "voices/one.bin": b"style" * 99}
MADE = {"zip": made_zip, "tgz": made_tar}


def published(path: str, data: bytes) -> PublishedFile:
    return PublishedFile(path, len(data), hashlib.sha256(data).hexdigest())


FILES = [published(path, data) for path, data in CONTENT.items()]
MEMBERS = {f"package/{file.path}": file for file in FILES}
PACKED = {f"package/{path}": data for path, data in CONTENT.items()}


def archive(folder: Path, kind: str, data: bytes) -> Path:
    path = folder / f"archive-1.0.{kind}.part"
    path.write_bytes(data)
    return path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("kind", MADE)
def test_the_members_are_extracted_and_nothing_else(kind: str, tmp_path: Path) -> None:
    packed = {**PACKED, "package/README": b"x", "package/voices/two.bin": b"x"}
    extract(archive(tmp_path, kind, MADE[kind](packed)), MEMBERS, tmp_path / "new")
    assert everything(tmp_path / "new") == set(CONTENT)
    assert full_problems(FILES, tmp_path / "new") == []


@pytest.mark.parametrize("kind", MADE)
def test_a_file_may_come_in_parts(kind: str, tmp_path: Path) -> None:
    whole = published("model.bin", b"first half, second half")
    for part in (b"first half, ", b"second half"):
        data = MADE[kind]({"part.bin": part})
        extract(archive(tmp_path, kind, data), {"part.bin": whole}, tmp_path / "new")
    assert full_problems([whole], tmp_path / "new") == []


@pytest.mark.parametrize("kind", MADE)
def test_a_missing_member_is_named(kind: str, tmp_path: Path) -> None:
    data = MADE[kind]({"package/model.bin": CONTENT["model.bin"]})
    with pytest.raises(SourceError, match=rf"^archive-1\.0\.{kind} is damaged .*voices/one\.bin"):
        extract(archive(tmp_path, kind, data), MEMBERS, tmp_path / "new")


@pytest.mark.parametrize("kind", MADE)
def test_an_archive_truncated_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    whole = MADE[kind](PACKED)
    for tenth in range(10):
        path = archive(tmp_path, kind, whole[: len(whole) * tenth // 10])
        with pytest.raises(SourceError, match="is damaged"):
            extract(path, MEMBERS, tmp_path / f"new{tenth}")


@pytest.mark.parametrize("kind", MADE)
def test_damage_anywhere_is_found_or_harmless(kind: str, tmp_path: Path) -> None:
    """The SHA-256 decides; the readers of archives must not raise what nobody expects."""
    whole = MADE[kind](PACKED)
    chance = random.Random(1)
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(whole)
        for _byte in range(chance.choice((1, 5, 50))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        target = tmp_path / "new"
        try:
            extract(archive(tmp_path, kind, bytes(damaged)), MEMBERS, target)
        except SourceError:
            outcomes.add("refused")
        else:
            outcomes.add("wrong" if full_problems(FILES, target) else "right")
        assert {path.name for path in tmp_path.iterdir()} <= {
            target.name,
            f"archive-1.0.{kind}.part",
        }
        assert everything(target) <= set(CONTENT)
        shutil.rmtree(target, ignore_errors=True)
    assert outcomes >= {"refused", "right"}


@pytest.mark.parametrize("kind", MADE)
def test_paths_that_lead_elsewhere_are_not_followed(kind: str, tmp_path: Path) -> None:
    evil = {f"package/{'../' * n}evil": b"x" for n in range(5)}
    evil |= {f"{tmp_path}/evil": b"x", "package/voices/../../../evil": b"x"}
    extract(archive(tmp_path, kind, MADE[kind]({**PACKED, **evil})), MEMBERS, tmp_path / "new")
    assert everything(tmp_path / "new") == set(CONTENT)
    assert not list(tmp_path.parent.rglob("*evil*"))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE],
)
def test_a_member_that_is_no_plain_file_counts_as_missing(kind: bytes, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT["voices/one.bin"])
    link = tarfile.TarInfo("package/voices/one.bin")
    link.type, link.linkname = kind, str(secret)
    data = made_tar({"package/model.bin": CONTENT["model.bin"]}, extra=[link])
    with pytest.raises(SourceError, match=r"voices/one\.bin is no file in it"):
        extract(archive(tmp_path, "tgz", data), MEMBERS, tmp_path / "new")
    assert everything(tmp_path / "new") == {"model.bin"}


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tarfile.TarInfo("voices")
    link.type, link.linkname = tarfile.SYMTYPE, str(outside)
    data = made_tar(PACKED, first=[link])
    extract(archive(tmp_path, "tgz", data), MEMBERS, tmp_path / "new")
    assert list(outside.iterdir()) == []
    assert full_problems(FILES, tmp_path / "new") == []


@pytest.mark.parametrize("kind", MADE)
def test_a_bomb_is_not_unpacked(kind: str, tmp_path: Path) -> None:
    small = published("model.bin", b"small")
    data = MADE[kind]({"model.bin": bytes(5_000_000)})
    extract(archive(tmp_path, kind, data), {"model.bin": small}, tmp_path / "new")
    assert (tmp_path / "new" / "model.bin").stat().st_size == small.size + 1
    assert full_problems([small], tmp_path / "new") == ["model.bin is not as published"]


def test_a_member_that_comes_twice_is_not_the_published_one(tmp_path: Path) -> None:
    content = gzip.decompress(made_tar(PACKED)).rstrip(b"\0")
    content += bytes(-len(content) % tarfile.BLOCKSIZE)
    twice = gzip.compress(content + content + bytes(2 * tarfile.BLOCKSIZE))
    extract(archive(tmp_path, "tgz", twice), MEMBERS, tmp_path / "new")
    assert full_problems(FILES, tmp_path / "new")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(made_zip(PACKED))
    with zipfile.ZipFile(BytesIO(data)) as opened:
        for info in opened.infolist():
            data[info.header_offset + 6] |= 1
    at = -1
    while (at := data.find(b"PK\1\2", at + 1)) >= 0:
        data[at + 8] |= 1
    with pytest.raises(SourceError, match="is damaged"):
        extract(archive(tmp_path, "zip", bytes(data)), MEMBERS, tmp_path / "new")


def test_packages_are_unpacked_and_checked(tmp_path: Path) -> None:
    """A file may be spread over them; it is whole only when all are extracted."""
    half = {"a.bin": published("model.bin", CONTENT["model.bin"])}
    data = CONTENT["model.bin"]
    first, second = tmp_path / "one.zip", tmp_path / "two.tgz"
    first.write_bytes(made_zip({"a.bin": data[:99]}))
    second.write_bytes(made_tar({"a.bin": data[99:], "../b.bin": b"not in the manifest"}))
    unpack("Tiny", {first: half, second: half}, tmp_path / "new")
    assert everything(tmp_path) == {"one.zip", "two.tgz", "new/model.bin"}
    with pytest.raises(DownloadError, match=r"^Tiny could not be unpacked: model.bin is cut short"):
        unpack("Tiny", {first: half}, tmp_path / "half")
    other = {"a.bin": published("model.bin", data[:98] + b"?")}
    with pytest.raises(DownloadError, match=r"unpacked: model\.bin is not as published\.$"):
        unpack("Tiny", {first: other}, tmp_path / "other")
    with pytest.raises(DownloadError, match=r"^Tiny could not be unpacked: one\.zip is damaged \("):
        unpack("Tiny", {first: {"c.bin": half["a.bin"]}}, tmp_path / "missing")
