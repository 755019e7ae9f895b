"""The systemd service: its units, and its behaviour in a real user's session."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from config.errors import UnitError
from daemon.systemd import unit
from tests.support.program import ROOT, afterword
from tests.support.user_manager import USER, UnavailableError, UserManager, missing
from tests.system.test_exchange import FOX, RECORDINGS

PROGRAM = str(Path(sys.prefix) / "bin" / "afterword")
SETTINGS = ".config/afterword/config.yaml"
WATCHDOG_SECONDS = 5
TIMEOUT_SECONDS = 100.0  # for a start on a busy machine


def analyze(*arguments: str) -> str:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
    return f"{done.stdout}{done.stderr}{done.returncode or ''}"


@pytest.fixture(params=[unit.NAME, unit.WYOMING])
def unit_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    program = tmp_path / "a folder, 100 % mine" / "afterword"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folders = [tmp_path / "state", tmp_path / "50 % data"]
    path.write_text(unit.render(program, folders, path.name))
    return path


def test_systemd_verifies_the_units_without_a_warning(unit_file: Path) -> None:
    assert analyze("verify", "--user", "--man=no", str(unit_file)) == ""


def test_the_sandbox_is_tight(unit_file: Path) -> None:
    told = analyze("security", "--user", "--offline=true", str(unit_file))
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert exposure, told
    port = unit_file.name == unit.WYOMING  # the network counts much
    assert float(exposure[1]) <= (2.5 if port else 2.0)


def test_without_systemd_each_command_fails_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    for command in ("install", "uninstall", "status"):
        done = afterword("service", command)
        assert done.code == UnitError.exit_code, done.err
        assert done.err.count("\n") == 1
        assert "systemctl" in done.err
    assert not unit.unit_file().exists()


@pytest.fixture(scope="module")
def manager(vosk_en: Path) -> Iterator[UserManager]:
    """A user's session in which the service is installed, as yet without a sound server."""
    if reason := missing(vosk_en):
        pytest.skip(reason)
    if not Path(PROGRAM).exists():
        pytest.skip(f"there is no {PROGRAM}: run scripts/setup")
    found = UserManager([vosk_en])
    try:
        found.boot()
        found.write(SETTINGS, f"hearing:\n  model: {vosk_en}\nmodel:\n  max_sentences: 1\n")
        watchdog = f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n"
        found.write(f".config/systemd/user/{unit.NAME}.d/test.conf", watchdog)
        found.systemctl("stop", "pulseaudio.socket", "pulseaudio.service")
        yield found
    except UnavailableError as reason:
        pytest.skip(str(reason))
    finally:
        found.close()


def property_of(manager: UserManager, name: str, of: str = unit.NAME) -> str:
    return manager.systemctl("show", of, f"--property={name}", "--value")


def wait_until_listening(manager: UserManager, after: str = "") -> str:
    """Wait for the daemon to listen; its process number, which must not be `after`."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        lines = manager.systemctl(
            "show", unit.NAME, "--property=MainPID,ActiveState,StatusText"
        ).splitlines()
        found = dict(line.split("=", 1) for line in lines)
        is_up = (found["ActiveState"], found["StatusText"]) == ("active", "listening")
        if is_up and found["MainPID"] != after:
            return found["MainPID"]
        time.sleep(0.1)
    raise AssertionError(f"{found}\n{journal(manager)}")


def journal(manager: UserManager, of: str = unit.NAME) -> str:
    own, of_systemd = f"_SYSTEMD_USER_UNIT={of}", f"USER_UNIT={of}"
    return manager.root("journalctl", "-q", "-o", "cat", own, "+", of_systemd)


@pytest.fixture(scope="module")
def installed(manager: UserManager) -> str:
    done = manager.user(PROGRAM, "service", "install")
    assert done.returncode == 0, done.stderr + journal(manager)
    return done.stdout


@pytest.fixture(scope="module")
def sounding(manager: UserManager, installed: str) -> UserManager:
    """The same session with a running sound server."""
    manager.systemctl("start", "pulseaudio.socket")
    wait_until_listening(manager)
    return manager


def test_the_service_is_ready_without_a_microphone(manager: UserManager, installed: str) -> None:
    assert "It runs: waiting for the microphone: No microphone was found" in installed
    assert "enable-linger" not in installed  # it is enabled
    shown = manager.user(PROGRAM, "service", "status")
    assert "waiting for the microphone" in shown.stdout
    assert f"/home/{USER}/.config/systemd/user/afterword.service, enabled" in shown.stdout


@contextlib.contextmanager
def following(manager: UserManager) -> Iterator[list[dict[str, str]]]:
    """The events during the block; it ends with the end of a reply."""
    events: list[dict[str, str]] = []
    with subprocess.Popen(
        manager.command(PROGRAM, "follow"), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        time.sleep(1)
        yield events
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "ended":
                break
        process.terminate()


@contextlib.contextmanager
def recorded(manager: UserManager, file: Path) -> Iterator[None]:
    """The sound of the loudspeaker during the block, 16-bit mono samples."""
    record = ["parec", "-d", "speaker.monitor", "--raw", "--format=s16le", "--channels=1"]
    with (
        file.open("wb") as sound,
        subprocess.Popen(manager.command(*record), stdout=sound) as process,
    ):
        try:
            yield
        finally:
            manager.root("pkill", "-u", USER, "parec")
            process.wait(10)


def test_a_spoken_exchange_works_inside_the_sandbox(sounding: UserManager, tmp_path: Path) -> None:
    file = tmp_path / "loudspeaker.raw"
    with recorded(sounding, file), following(sounding) as events:
        play = sounding.user("paplay", "--device=mic_in", str(RECORDINGS / "one-breath.wav"))
        assert play.returncode == 0, play.stderr
    by_name = {event["event"]: event for event in events}
    assert by_name["seed"]["text"] == FOX
    assert len(by_name["sentence"]["text"]) > 3
    assert by_name["ended"]["outcome"] == "completed"
    loud = np.abs(np.fromfile(file, np.int16).astype(int)) > 1000
    assert loud.sum() > 4410, "nothing was spoken"
    lines = journal(sounding)
    assert "trigger heard" in lines
    assert "speaks instead" not in lines  # the default voice works there
    assert FOX not in lines


def test_a_restarted_sound_server_is_found_again(sounding: UserManager) -> None:
    before = wait_until_listening(sounding)
    sounding.systemctl("restart", "pulseaudio.service")
    time.sleep(3)  # long enough for the daemon to notice
    assert wait_until_listening(sounding) == before


def status(manager: UserManager) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(manager.user(PROGRAM, "status", "--json").stdout)
    return found


def wait_for_line(manager: UserManager, text: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while text not in (lines := journal(manager)):
        assert time.monotonic() < deadline, lines
        time.sleep(0.2)


def test_a_reload_takes_a_good_file_and_refuses_a_bad_one(sounding: UserManager) -> None:
    before = wait_until_listening(sounding)
    settings = sounding.root("cat", f"/home/{USER}/{SETTINGS}")
    sounding.write(SETTINGS, settings + "voice:\n  rate_wpm: 170\n  volume: 0.8\n")
    sounding.systemctl("reload", unit.NAME)
    assert "Changed: voice.rate_wpm, voice.volume." in journal(sounding)

    sounding.write(SETTINGS, settings + "voice:\n  rate_wpm: 170\n  volume: loud\n")
    refused = sounding.user("systemctl", "--user", "reload", unit.NAME)
    assert refused.returncode != 0
    complaint = f"/home/{USER}/{SETTINGS}, line 7: voice.volume should be a number from 0 to 1"
    assert complaint in journal(sounding)
    assert complaint in status(sounding)["refused"]

    sounding.write(SETTINGS, settings + "voice:\n  pause_seconds: 0.2\n")
    sounding.root("kill", "-HUP", before)
    wait_for_line(sounding, "Changed: voice.rate_wpm, voice.volume, voice.pause_seconds.")
    assert status(sounding)["refused"] is None
    assert wait_until_listening(sounding) == before


def test_weights_written_by_a_training_run_are_loaded(sounding: UserManager) -> None:
    before = wait_until_listening(sounding)
    folder = f"/home/{USER}/.local/share/afterword/weights"
    for command in (
        ["mkdir", "-p", folder],
        ["cp", str(ROOT / "model/weights/en.safetensors"), f"{folder}/.en.new"],
        ["mv", f"{folder}/.en.new", f"{folder}/en.safetensors"],
    ):
        done = sounding.user(*command)
        assert done.returncode == 0, done.stderr
    wait_for_line(sounding, "The weights in use are now en-")
    assert status(sounding)["models"]["weights"] == f"{folder}/en.safetensors"
    assert sounding.user(PROGRAM, "weights", "use", "shipped").returncode == 0
    assert status(sounding)["weights"]["name"] == "shipped"
    assert wait_until_listening(sounding) == before
    sounding.root("rm", "-r", folder)


def test_a_killed_daemon_is_restarted_and_listens(sounding: UserManager) -> None:
    before = wait_until_listening(sounding)
    begin = time.monotonic()
    sounding.root("kill", "-KILL", before)
    wait_until_listening(sounding, after=before)
    ready = int(property_of(sounding, "ActiveEnterTimestampMonotonic")) / 1e6
    restart_delay = 1.0
    took = ready - begin - restart_delay
    print(f"listening again {took:.2f} s after the restart delay")
    assert status(sounding)["restarts"]["daemon"] == 1


# Stops one thread, which no signal can; the others, and their messages to systemd, go on.
_FREEZE = """
import ctypes, os, sys
thread = int(sys.argv[1])
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT = 0x4206, 0x4207
for request in (SEIZE, INTERRUPT):
    assert ptrace(request, thread, None, None) == 0, ctypes.get_errno()
os.waitpid(thread, 0x40000000)  # __WALL: it has stopped
print("frozen", flush=True)
os.waitpid(thread, 0x40000000)  # it has been killed
"""


def test_a_frozen_loop_is_restarted_by_the_watchdog(sounding: UserManager) -> None:
    before = wait_until_listening(sounding)
    inside = ["nsenter", "-t", sounding._leader, "-a", sys.executable, "-c", _FREEZE, before]
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as freezer:
        assert freezer.stdout
        assert freezer.stdout.readline() == "frozen\n"
        try:
            wait_until_listening(sounding, after=before)
        finally:
            freezer.kill()
    assert f"Watchdog timeout (limit {WATCHDOG_SECONDS}s)" in journal(sounding)


_PROBE = """
import json, os, socket
def attempt(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return "done"
home = os.path.expanduser("~")
found = {
    "internet": attempt(lambda: socket.socket(socket.AF_INET)),
    "internet 6": attempt(lambda: socket.socket(socket.AF_INET6)),
    "netlink": attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    "interfaces": [line.split(":")[0].strip() for line in list(open("/proc/net/dev"))[2:]],
    "home": attempt(lambda: open(home + "/probe", "w")),
    "system": attempt(lambda: open("/etc/probe", "w")),
    "state": attempt(lambda: open(home + "/.local/state/afterword/probe", "w")),
    "runtime": attempt(lambda: open(os.environ["RUNTIME_DIRECTORY"] + "/probe", "w")),
}
print("probe", json.dumps(found))
"""


def test_the_sandbox_blocks_the_network_and_foreign_folders(sounding: UserManager) -> None:
    """The service's unit with another program, which tries forbidden operations."""
    text = sounding.user("systemctl", "--user", "cat", unit.NAME).stdout
    kept = [
        line
        for line in text.splitlines()
        if not line.startswith(("Type=", "Exec", "Restart=", "Watchdog", "RuntimeDirectory="))
    ]
    at = kept.index("[Service]") + 1
    run = [f"ExecStart={sys.executable} /home/{USER}/probe.py", "RuntimeDirectory=probe"]
    sounding.write("probe.py", _PROBE)
    sounding.write(
        ".config/systemd/user/probe.service",
        "\n".join([*kept[:at], "Type=oneshot", *run, *kept[at:]]),
    )
    sounding.systemctl("daemon-reload")
    sounding.systemctl("start", "probe.service")
    lines = [line for line in journal(sounding, "probe.service").splitlines() if "probe {" in line]
    no_such_family, read_only = 97, 30  # EAFNOSUPPORT, EROFS
    assert json.loads(lines[0].removeprefix("probe ")) == {
        "internet": no_such_family,
        "internet 6": no_such_family,
        "netlink": no_such_family,
        "interfaces": ["lo"],
        "home": read_only,
        "system": read_only,
        "state": "done",
        "runtime": "done",
    }
    sounding.root("rm", f"/home/{USER}/.local/state/afterword/probe")


_CLIENT = """
import asyncio
from wyoming.asr import Transcript
from wyoming.client import AsyncClient
from wyoming.tts import Synthesize

async def main():
    async with AsyncClient.from_uri("tcp://127.0.0.1:10750") as client:
        asked = {"handled-stop": Transcript("the fox"), "audio-stop": Synthesize("Hi.")}
        for last, event in asked.items():
            await client.write_event(event.event())
            while (answer := await client.read_event()).type != last:
                print(answer.type, answer.data.get("text", ""))

asyncio.run(main())
"""


def test_wyoming_peers_are_served_by_a_separate_unit(sounding: UserManager) -> None:
    done = sounding.user(PROGRAM, "service", "install", "--wyoming")
    assert done.returncode == 0, done.stderr + journal(sounding, unit.WYOMING)
    told = sounding.user(sys.executable, "-W", "ignore", "-c", _CLIENT)
    assert re.search(r"^handled \w+", told.stdout, re.M), told.stderr
    assert "audio-chunk" in told.stdout
    assert "speaks instead" not in journal(sounding, unit.WYOMING)
    assert "afterword-wyoming.service: active" in sounding.user(PROGRAM, "service", "status").stdout
    shown = sounding.user(PROGRAM, "status").stdout  # of the daemon, too: both have the folder
    assert "\nWyoming at tcp://127.0.0.1:10750\n" in shown, journal(sounding, unit.WYOMING)
    reloaded = sounding.user(PROGRAM, "reload", "--wait")
    assert "The Wyoming service has taken the settings in." in reloaded.stdout, reloaded.stderr
    assert "No setting has changed." in reloaded.stdout
    sounding.systemctl("stop", unit.WYOMING)
    assert property_of(sounding, "Result", unit.WYOMING) == "success"
    assert "Wyoming" not in sounding.user(PROGRAM, "status").stdout


def test_stop_is_quick_and_uninstall_leaves_the_settings(sounding: UserManager) -> None:
    wait_until_listening(sounding)
    begin = time.monotonic()
    sounding.systemctl("stop", unit.NAME)
    assert time.monotonic() - begin < 3
    assert property_of(sounding, "Result") == "success"
    assert sounding.user(PROGRAM, "status").returncode == 3
    assert sounding.user(PROGRAM, "service", "uninstall").returncode == 0
    left = sounding.root("find", f"/home/{USER}", "/run/user", "-path", "*afterword*")
    assert {line.removeprefix(f"/home/{USER}/.config/") for line in left.splitlines()} == {
        "afterword",
        "afterword/config.yaml",
        "systemd/user/afterword.service.d",  # what the user has added to the unit
        "systemd/user/afterword.service.d/test.conf",
    }
    assert sounding.user(PROGRAM, "service", "status").returncode == 3


def test_the_unit_in_the_repository_is_for_pipx() -> None:
    text = (ROOT / "systemd" / unit.WYOMING).read_text()
    assert "ExecStart=%h/.local/bin/afterword wyoming\n" in text
    text = (ROOT / "systemd" / unit.NAME).read_text()
    assert "ExecStart=%h/.local/bin/afterword run --wait-for-microphone\n" in text
