"""`afterword status`, `reload` and `doctor` ask the service at its control socket."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import MissingPackageError, NotRunningError, RefusedError
from config.load import load
from daemon.control import client
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path, wyoming_socket_path
from daemon.doctor.wyoming import wyoming as check
from daemon.wyoming.address import DEFAULT_PORT
from daemon.wyoming.control import Command, control_socket
from tests.daemon.wyoming.peers import free_port
from tests.support.program import Running, afterword, started

SETTINGS = load(environment={}).settings


@pytest.fixture
def service(home: Path) -> Iterator[tuple[Running, str]]:
    """The real program without its larger parts, and where it listens."""
    address = f"tcp://127.0.0.1:{free_port()}"
    arguments = ("--uri", address, "--without", "tts", "--without", "asr", "--without", "wake")
    with started("wyoming", *arguments) as running:
        running.wait_for("are served")
        while not wyoming_socket_path().exists():
            assert running.process.poll() is None, running.log
        yield running, address


@pytest.mark.slow
def test_the_running_service_is_told_and_takes_settings(
    service: tuple[Running, str], home: Path
) -> None:
    running, address = service
    told = client.wyoming_status()
    assert told is not None
    assert (told["address"], told["pid"]) == (address, running.process.pid)
    services, languages = told["services"], told["languages"]
    assert (services, languages, told["refused"]) == (["handle"], ["en", "zh"], None)
    assert told["weights"]["en"]
    assert told["clients"] == 0

    shown = afterword("status")
    assert shown.code == 3  # of the daemon
    assert "The daemon does not run." in shown.out
    assert f"Wyoming at {address}\n" in shown.out
    assert json.loads(afterword("status", "--json").out)["wyoming"]["address"] == address

    done = afterword("reload")
    assert (done.code, done.out) == (0, "The Wyoming service has taken the settings in.\n")
    config = home / ".config" / "afterword" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("model: {temperature: warm}\n")
    done = afterword("reload")
    assert (done.code, done.out) == (77, "")
    assert f"{config}, line 1" in done.err
    assert "The old settings stay in force." in done.err
    told = client.wyoming_status()
    assert told is not None
    assert f"{config}, line 1" in str(told["refused"])
    assert f"{config}, line 1" in "\n".join(afterword("status").out.splitlines()[1:])
    found = check(SETTINGS)
    assert (found.level, found.remedy) == ("warning", "mend it, then `afterword reload`")
    config.unlink()
    assert afterword("reload").code == 0
    found = check(SETTINGS)
    assert (found.level, found.detail) == ("ok", f"serves handle at {address}, 0 clients")

    with pytest.raises(RefusedError, match="has the commands status and reload"):
        client.ask_wyoming("mute")
    assert not socket_path().exists()


def test_without_a_service_its_port_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.wyoming.address.DEFAULT_PORT", port := free_port())
    assert DEFAULT_PORT == 10750
    assert check(SETTINGS).detail == f"does not run; port {port} is free"
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        found = check(SETTINGS)
        assert found.level == "ok"  # nobody has asked for the service
        assert f"another program listens at port {port}" in found.detail
        monkeypatch.setattr("daemon.systemd.unit.installed", lambda: ["afterword-wyoming.service"])
        assert check(SETTINGS).level == "warning"


def test_without_its_library_it_is_not_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise MissingPackageError("Wyoming needs its library.")

    monkeypatch.setattr("daemon.wyoming.library.check_library", fail)
    found = check(SETTINGS)
    assert (found.level, found.detail) == ("ok", "not in use")


def test_neither_is_told_as_before() -> None:
    for command in ("status", "reload"):
        done = afterword(command)
        assert (done.code, done.out) == (3, "")
        assert "Afterword is not running" in done.err


async def answer() -> dict[str, object]:
    return {"who": "this one"}


def asked(commands: dict[str, Command]) -> object:
    """What a client is answered while the socket should be open."""

    async def run() -> object:
        with control_socket(commands):
            return await asyncio.to_thread(client.ask_wyoming, "status")

    return asyncio.run(run())


def test_a_second_service_leaves_the_socket_to_the_first() -> None:
    assert asked({"status": answer}) == {"who": "this one"}
    with single_instance_lock(wyoming_socket_path()), pytest.raises(NotRunningError):
        asked({"status": answer})
    assert not wyoming_socket_path().exists()


def test_a_folder_that_cannot_be_used_does_not_end_the_service(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "run" / "afterword").write_text("no folder")
    with pytest.raises(NotRunningError):
        asked({"status": answer})
    assert "do not reach this service" in caplog.text
