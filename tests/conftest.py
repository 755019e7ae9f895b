"""Fixtures of all tests: a temporary home for each, models, sound servers; the mark `slow`."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio.fetching.files import state_of
from audio.tts.neural.voice_files import catalogue
from config.paths import data_folder
from tests.browser import Browser, find_chromium, running_browser
from tests.support import pipewire
from tests.support.sound_server import SoundServer, missing_programs

XDG_FOLDERS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
    "XDG_STATE_HOME": ".local/state",
    "XDG_RUNTIME_DIR": "run",
}

# What `scripts/test --fast` leaves out, beside tests that carry the mark `slow` themselves.
SLOW_FIXTURES = frozenset({"vosk_en", "vosk_zh", "sound_server", "pipewire_server", "browser"})
SLOW_PATHS = (
    "tests/system/",
    "tests/faults/",
    "tests/fuzz/",
    "tests/test_package.py",
    "tests/audio/devices/test_default_devices.py",  # a sound server, chosen by a parameter
    "tests/audio/input/test_interface.py",  # JACK
    "tests/audio/tts/test_engine.py",
    "tests/daemon/systemd/test_notify.py",  # waits through watchdog intervals, 11 s
    "tests/model/bench/",
    "tests/model/train/",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark as `slow` every test below `SLOW_PATHS` and every user of `SLOW_FIXTURES`."""
    for name in SLOW_PATHS:
        if not (config.rootpath / name).exists():
            raise pytest.UsageError(f"tests/conftest.py: SLOW_PATHS names {name}, which is missing")
    # The slowest files come first, so that the processes of pytest-xdist end together.
    items.sort(key=lambda item: not item.path.is_relative_to(config.rootpath / "tests" / "system"))
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if path.startswith(SLOW_PATHS) or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def real_data_folder() -> Path:
    """The data folder of the user who runs the tests, with the Vosk models; read only."""
    return data_folder()


@pytest.fixture(autouse=True)
def home(
    real_data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A new, empty home for each test and its child processes; no settings from outside.

    `real_data_folder` is requested here so that it is read before the environment changes.
    """
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for variable, name in XDG_FOLDERS.items():
        path = folder / name
        path.mkdir(mode=0o700, parents=True)
        monkeypatch.setenv(variable, str(path))
    for variable in [name for name in os.environ if name.startswith("AFTERWORD_")]:
        monkeypatch.delenv(variable)
    return folder


def _rescan_devices() -> None:
    """Initialise PortAudio again, because it lists the devices only then."""
    if sounddevice := sys.modules.get("sounddevice"):
        sounddevice._terminate()
        sounddevice._initialize()


@contextmanager
def _serving(server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    try:
        server.start()
        _rescan_devices()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def _short_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="sound-"))  # sockets allow 107 bytes


@pytest.fixture
def sound_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """A running PulseAudio, used by this process and its children."""
    if missing := missing_programs():
        pytest.skip(f"no virtual sound devices: {', '.join(missing)} not installed")
    with _serving(SoundServer(_short_folder()), monkeypatch) as server:
        yield server


@pytest.fixture
def pipewire_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """A running PipeWire, used by this process and its children."""
    if missing := pipewire.missing():
        pytest.skip(f"no PipeWire: {', '.join(missing)} not installed")
    with _serving(pipewire.pipewire(_short_folder()), monkeypatch) as server:
        yield server


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium, the same for all tests of a process."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: apt-get install chromium-headless-shell (or chromium)")
    with running_browser(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
def fetched_kokoro(real_data_folder: Path) -> Path:
    """The folder of Kokoro's voices that the user has fetched; a test may link to it."""
    voices = catalogue()["kokoro"]
    folder = real_data_folder / "voices" / voices.engine
    if state_of(voices.files, folder) != "ready":
        pytest.skip(f"no voices at {folder}: run `afterword voices fetch zh`")
    return folder


@pytest.fixture
def fetched_large(real_data_folder: Path) -> Path:
    """The folder of the large weights that the user has fetched; a test may link to it."""
    folder = real_data_folder / "weights" / "fetched" / "large"
    if not (folder / "en.safetensors").is_file():
        pytest.skip(f"no weights at {folder}: run `afterword weights fetch large`")
    return folder


def _fetched(variable: str, folder: Path) -> Path:
    folder = Path(os.environ.get(variable, folder))
    if not (folder / "am" / "final.mdl").is_file():
        pytest.skip(f"no Vosk model at {folder}: run scripts/setup, or `afterword models fetch`")
    return folder


@pytest.fixture(scope="session")
def vosk_en(real_data_folder: Path) -> Path:
    """The folder of the user's English Vosk model."""
    folder = real_data_folder / "vosk" / "vosk-model-small-en-us-0.15"
    return _fetched("AFTERWORD_TEST_VOSK_EN", folder)


@pytest.fixture(scope="session")
def vosk_zh(real_data_folder: Path) -> Path:
    """The folder of the user's Mandarin Vosk model."""
    folder = real_data_folder / "vosk" / "vosk-model-small-cn-0.22"
    return _fetched("AFTERWORD_TEST_VOSK_ZH", folder)
