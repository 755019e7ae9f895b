"""Full disks and missing permissions: each gives one clear error, and nothing is lost."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.errors import ConfigError, OutputError, RefusedError, WeightsError
from config.paths import config_file, runtime_folder, state_folder
from daemon import mute
from daemon.observers.history import History, read
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.train.command import train as main
from model.train.log import open_log
from model.train.trainer import Trainer
from tests.model.made import small_weights, story_text
from tests.support.program import Outcome, afterword

SIZE = 1024 * 1024


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A mounted disk of one megabyte."""
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes=99", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path, leave: int = 0) -> None:
    """Fill the disk but for `leave` bytes, in whole pages."""
    (folder / "filler").write_bytes(b"")
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    os.truncate(folder / "filler", (folder / "filler").stat().st_size - leave)


def fill_with_names(folder: Path) -> None:
    """Use up the disk's inodes: not even an empty file or a socket can be made."""
    with contextlib.suppress(OSError):
        for number in range(1000):
            (folder / f"filler-{number}").touch()


def is_one_output_error(done: Outcome, *parts: str) -> None:
    assert done.code == OutputError.exit_code, done.err
    last = done.err.strip().splitlines()[-1]
    assert "Traceback" not in done.err
    for part in parts:
        assert part in last


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def fill_in_training(monkeypatch: pytest.MonkeyPatch, disk: Path) -> None:
    """Let the next step of a training fill the disk, but for what its log needs."""
    step = Trainer.train_step

    def filling(trainer: Trainer, progress: float) -> dict[str, float]:
        fill(disk, leave=2 * 4096)
        return step(trainer, progress)

    monkeypatch.setattr(Trainer, "train_step", filling)


def test_a_disk_that_fills_up_in_training_keeps_the_last_state(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = small_disk.parent / f"{small_disk.name}.txt"
    corpus.write_text(story_text())
    out = small_disk / "training"
    training = ("--corpus", corpus, "--out", out, "--preset", "tiny", "--context", "32",
                "--batch", "2", "--precision", "fp32", "--threads", "1")  # fmt: skip
    try:
        (small_disk / "filler").touch()
        subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
        assert train(*training, "--steps", "1").exit_code == 0
        step = load_state(out / "last.pt")["step"]
        fill_in_training(monkeypatch, small_disk)
        done = train(*training, "--steps", "3", "--resume")
        assert done.exit_code == OutputError.exit_code, done.output
        remedy = rf"make room, and the same command with --resume goes on after step {step}\."
        sentence = rf"^Error: \S+ cannot be written: No space left on device; {remedy}\n\Z"
        assert re.search(sentence, done.output, re.M), done.output
        assert load_state(out / "last.pt")["step"] == step
        refused = train(*training, "--steps", "3", "--resume")  # now it is full before
        assert refused.exit_code == OutputError.exit_code, refused.output
        assert f"There is not enough room in {out}: the training needs about" in refused.output
        assert load_weights(out / "en.safetensors").language == "en"  # the old or the new, whole
        assert not [file for file in out.iterdir() if file.name.startswith(".")]
    finally:
        corpus.unlink()


def test_a_full_disk_keeps_the_old_weights(small_disk: Path) -> None:
    path = small_disk / "en.safetensors"
    save_weights(path, small_weights())
    fill(small_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_weights(path, small_weights(seed=2))
    assert load_weights(path).language == "en"
    assert {file.name for file in small_disk.iterdir()} == {"en.safetensors", "filler"}


def test_the_log_of_a_training_has_whole_lines_only(small_disk: Path) -> None:
    with open_log(small_disk, tensorboard=False) as record:
        fill(small_disk, leave=4096)
        step = {"step": 1, "filling": "x" * 100}
        with pytest.raises(OutputError, match=r"log\.jsonl cannot be written: No space left"):
            deque(map(record, [step] * 100), maxlen=0)
    text = (small_disk / "log.jsonl").read_text()
    assert text.endswith('"}\n')
    assert 20 < text.count("\n") < 40


def test_the_history_stops_whole_and_goes_on_when_there_is_room(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(small_disk / "history.jsonl", 500_000)

    def note(turn: int) -> None:
        history.on_event({"event": "seed", "turn": turn, "time": 1.0, "text": "x" * 1000})
        history.on_event({"event": "ended", "turn": turn, "outcome": "completed"})

    note(1)
    fill(small_disk, leave=4096)
    for turn in range(2, 12):
        note(turn)
    kept = len(list(read(small_disk / "history.jsonl")))
    assert 2 < kept < 8
    assert caplog.text.count("cannot be written: No space left on device") == 1
    (small_disk / "filler").unlink()
    note(12)
    assert len(list(read(small_disk / "history.jsonl"))) == kept + 1


def test_a_full_disk_under_the_control_socket_is_an_error(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that could not be controlled does not start."""
    from daemon.control.lock import single_instance_lock
    from daemon.control.server import ControlServer

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(small_disk))
    path = runtime_folder() / "control.sock"
    path.parent.mkdir()
    path.with_suffix(".lock").touch()
    fill_with_names(small_disk)
    with (
        pytest.raises(OutputError, match=r"control socket .* No space left"),
        single_instance_lock(path),
    ):
        ControlServer(path, lambda *_: {})


def test_muting_on_a_full_disk_mutes_and_says_that_it_will_not_last(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(small_disk / "state"))
    fill_with_names(small_disk)
    with pytest.raises(OutputError, match="holds until the next start only"):
        mute.remember(True)
    assert not mute.is_muted()


# Root ignores permissions; without these capabilities it is a user like any other.
AS_USER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


@pytest.fixture
def as_user() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and root may do anything")
    return AS_USER


def test_a_settings_file_without_read_permission_is_refused(as_user: tuple[str, ...]) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text("language: zh\n")
    config_file().chmod(0)
    done = afterword("config", before=as_user)
    assert done.code == ConfigError.exit_code
    assert done.err.strip() == (f"afterword: {config_file()}: cannot be read (Permission denied).")


def test_weights_without_read_permission_are_refused(
    as_user: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "en.safetensors"
    save_weights(path, small_weights())
    path.chmod(0)
    setting = f"model.weights={path}"
    done = afterword("say", "a fox", "--no-speech", "--set", setting, before=as_user)
    assert (done.code, done.err.count("\n")) == (WeightsError.exit_code, 1), done.err


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_folders_without_write_permission_are_named(
    mode: int, as_user: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(story_text())
    folder.chmod(mode)
    for module, arguments in (
        ("daemon", ("say", "a fox", "--out", folder / "reply.wav")),
        ("model.train", ("--corpus", corpus, "--out", folder / "training", "--steps", "1")),
    ):
        done = afterword(*arguments, before=as_user, module=module)
        is_one_output_error(done, str(folder))
    assert folder.stat().st_mode & 0o777 == mode


def test_a_recording_without_read_permission_is_refused(
    as_user: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "seed.wav"
    path.write_bytes(b"RIFF")
    path.chmod(0)
    done = afterword("run", "--wav", path, before=as_user)
    assert done.code == 2, done.err
    assert "is not readable" in done.err


PROGRAM = """
from daemon import mute
from daemon.control.lock import single_instance_lock as lock
from daemon.control.protocol import socket_path
from config.errors import AfterwordError
for action in (lambda: mute.remember(True), lambda: lock(socket_path()).__enter__()):
    try:
        action()
        print("done")
    except AfterwordError as error:
        print(error)
"""


def test_state_and_runtime_folders_without_write_permission_are_named(
    as_user: tuple[str, ...],
) -> None:
    for folder in (state_folder().parent, runtime_folder().parent):
        folder.chmod(0o500)
    command = [*as_user, sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    muted, held = done.stdout.splitlines()
    assert muted.startswith("This holds until the next start only")
    assert str(runtime_folder()) in held
    assert "Permission denied" in held


def test_a_second_daemon_is_refused_also_on_a_full_disk(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daemon.control.lock import single_instance_lock

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(small_disk))
    runtime_folder().mkdir()
    path = runtime_folder() / "control.sock"
    path.with_suffix(".lock").touch()
    fill(small_disk)
    with (
        single_instance_lock(path),
        pytest.raises(RefusedError, match="running already"),
        single_instance_lock(path),
    ):
        pass
