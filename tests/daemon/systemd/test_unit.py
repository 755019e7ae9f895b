"""The service's commands with one of both units installed, or none; systemd is a script."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import errors, paths
from config.load import load
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path
from daemon.doctor import environment
from daemon.systemd import unit
from tests.support.program import afterword

# Answers `systemctl --user show NAME --property=KEY --value` from a file, and notes the rest.
SYSTEMCTL = """#!{python}
import json, sys
from pathlib import Path
folder = Path("{folder}")
_, command, *rest = sys.argv[1:]
if command == "show":
    name, key = rest[0], rest[1].removeprefix("--property=")
    print(json.loads((folder / "units.json").read_text())[name].get(key, ""))
else:
    with (folder / "commands").open("a") as log:
        print(command, *rest, file=log)
"""
ACTIVE = {
    "ActiveState": "active",
    "MainPID": "12",
    "UnitFileState": "enabled",
    "NRestarts": "0",
    "Result": "success",
}
LISTENING = {**ACTIVE, "StatusText": "listening"}
FAILED = {**ACTIVE, "ActiveState": "failed", "Result": "exit-code", "MainPID": "0"}
GONE = {"ActiveState": "inactive", "Result": "success"}


class Systemd:
    """A systemd of our own: what it says of the units, and the commands that it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "bin" / "systemctl"
        self.program.parent.mkdir(parents=True)
        self.program.write_text(SYSTEMCTL.format(python=sys.executable, folder=folder))
        self.program.chmod(0o755)

    def install(self, **states: dict[str, str]) -> None:
        """The units that are installed, `main` and `wyoming`, with their properties."""
        names = {"main": unit.NAME, "wyoming": unit.WYOMING}
        units = {name: states.get(key, GONE) for key, name in names.items()}
        (self.folder / "units.json").write_text(json.dumps(units))
        for key in states:
            file = unit.unit_file(names[key])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("[Service]\n")

    def commands(self) -> list[str]:
        return (self.folder / "commands").read_text().splitlines()


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    found = Systemd(tmp_path / "systemd")
    monkeypatch.setenv("PATH", str(found.program.parent), prepend=os.pathsep)
    return found


def test_without_any_unit_there_is_no_service(systemd: Systemd) -> None:
    systemd.install()
    done = afterword("service", "status")
    assert done.code == errors.NotRunningError.exit_code
    assert "There is no service yet; `afterword service install` makes one." in done.err


def test_the_wyoming_service_alone_is_a_service(systemd: Systemd) -> None:
    systemd.install(wyoming=ACTIVE)
    done = afterword("service", "status")
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first == "afterword-wyoming.service: active, running (process 12)"
    assert second == f"unit {unit.unit_file(unit.WYOMING)}, enabled, restarts 0"


def test_the_daemon_s_service_alone_is_shown(systemd: Systemd) -> None:
    systemd.install(main=LISTENING)
    done = afterword("service", "status")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == "listening (process 12)"
    assert "yoming" not in done.out


def test_both_are_shown(systemd: Systemd) -> None:
    systemd.install(main=LISTENING, wyoming=ACTIVE)
    lines = afterword("service", "status").out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "listening (process 12)"
    assert lines[2].startswith("afterword-wyoming.service: active")


@pytest.mark.parametrize(
    ("states", "told", "shown"),
    [
        ({"wyoming": FAILED}, "The Wyoming service is failed (exit-code)", ""),
        ({"main": LISTENING, "wyoming": FAILED}, "The Wyoming service is failed", "listening"),
        ({"main": FAILED, "wyoming": ACTIVE}, "The service is failed", "afterword-wyoming"),
    ],
)
def test_one_that_is_not_active_is_named_with_its_log(
    states: dict[str, dict[str, str]], told: str, shown: str, systemd: Systemd
) -> None:
    systemd.install(**states)
    done = afterword("service", "status")
    assert done.code == errors.NotRunningError.exit_code
    assert told in done.err
    log = "afterword-wyoming" if "Wyoming" in told else "afterword"
    assert f"`journalctl --user -u {log}`" in done.err
    assert done.out.startswith(shown)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"main": ACTIVE}, "Removed afterword.service."),
        ({"wyoming": ACTIVE}, "Removed afterword-wyoming.service."),
        ({"main": ACTIVE, "wyoming": ACTIVE}, "Removed afterword.service and afterword-wyoming."),
        ({}, "No service was installed."),
    ],
)
def test_uninstalling_removes_what_is_there(
    states: dict[str, dict[str, str]], told: str, systemd: Systemd
) -> None:
    systemd.install(**states)
    done = afterword("service", "uninstall")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(told)
    assert unit.installed() == []
    assert "daemon-reload" in systemd.commands()
    assert not paths.runtime_folder().exists()


@pytest.fixture
def by_hand() -> Iterator[None]:
    """A daemon that was started by hand."""
    with single_instance_lock(socket_path()):
        socket_path().touch()
        yield


@pytest.mark.usefixtures("by_hand")
def test_uninstalling_leaves_a_daemon_its_socket_that_was_started_by_hand(
    systemd: Systemd,
) -> None:
    systemd.install(wyoming=ACTIVE)
    assert afterword("service", "uninstall").code == 0
    assert socket_path().exists()
    assert socket_path().with_suffix(".lock").exists()


def test_doctor_sees_the_wyoming_service_alone(systemd: Systemd) -> None:
    systemd.install(wyoming=ACTIVE)
    finding = environment.service(load(environment={}).settings)
    assert finding.level == "ok"
    assert finding.detail.startswith("no daemon runs; afterword-wyoming.service: active")
    assert "afterword service install" in finding.remedy
    systemd.install(wyoming=FAILED)
    finding = environment.service(load(environment={}).settings)
    assert finding.level == "fault"
    assert "The Wyoming service is failed" in finding.detail


def test_the_script_stands_for_systemd(systemd: Systemd) -> None:
    systemd.install(main=LISTENING)
    command = ["systemctl", "--user", "show", unit.NAME, "--property=StatusText", "--value"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "listening\n"
