"""Addresses: which are allowed, and which can be listened at."""

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import NoReturn

import pytest
from wyoming.info import Describe

from config.errors import ConfigError, RefusedError, WeightsError
from daemon.wyoming.address import check_uri, listen, shown
from daemon.wyoming.server import _serve
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import ask, fake_shared, served


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("tcp://127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("tcp://localhost", ("localhost", 10750)),
        ("tcp://[::1]:7", ("::1", 7)),
        ("unix:///run/a.sock", Path("/run/a.sock")),
    ],
)
def test_places_of_this_machine(uri: str, place: object) -> None:
    assert check_uri(uri, exposed=False) == place


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "[::]", "example.org"])  # noqa: S104
def test_other_machines_come_in_only_where_that_is_wanted(host: str) -> None:
    with pytest.raises(RefusedError, match="without a password; add --expose") as refused:
        check_uri(f"tcp://{host}:10750", exposed=False)
    assert str(refused.value).startswith(f"At {host} other machines could")
    assert check_uri(f"tcp://{host}:10750", exposed=True)


@pytest.mark.parametrize(
    "uri",
    ["", "10750", "http://localhost", "tcp://:5", "tcp://localhost:x", "unix://a/b", "stdio:"],
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="--uri"):
        check_uri(uri, exposed=False)


def test_files_and_live_sockets_are_left_alone(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        path = Path(uri.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(RefusedError, match="Another program serves"):
            await _serve(path, shared, str)
        await ask(uri, Describe().event(), "info")

    served(test, tmp_path)
    file = tmp_path / "w.sock"
    file.write_text("mine")
    with pytest.raises(RefusedError, match="is no socket"):
        served(test, tmp_path)
    assert file.read_text() == "mine"
    file.unlink()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(file))
    dead.close()
    served(test, tmp_path)  # it is replaced


def refusal(address: tuple[str, int] | Path) -> str:
    """Why this address cannot be listened at."""

    async def run() -> None:
        server = await listen(address, lambda *_: None)
        server.close()

    with pytest.raises(RefusedError) as refused:
        asyncio.run(run())
    return str(refused.value)


def test_an_address_that_cannot_be_listened_at_is_named_with_reason_and_remedy(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal(("127.0.0.1", port)) == (
            f"Afterword cannot listen at tcp://127.0.0.1:{port}: another program listens there; "
            f"name another address with --uri, such as tcp://127.0.0.1:{port + 1}."
        )
    assert "tcp://192.0.2.1:10750: " in refusal(("192.0.2.1", 10750))  # no machine has it
    for host in ("a..b", "x" * 300):
        assert refusal((host, 10750)).startswith(f"Afterword cannot listen at tcp://{host}:10750: ")
    for path in (tmp_path / ("x" * 200), tmp_path / "none" / "w.sock", tmp_path / "a\0b"):
        message = refusal(path)
        assert message.startswith(f"Afterword cannot listen at unix://{path}: ")
        assert message.endswith("; name another address with --uri.")


def test_an_address_in_use_is_told_before_anything_is_loaded() -> None:
    def fail(*_: object) -> NoReturn:
        raise AssertionError("it is loaded")

    shared = fake_shared()
    shared.generators.clear()
    shared.source.load_generator = fail
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(RefusedError, match="another program listens there"),
    ):
        asyncio.run(_serve(other.getsockname(), shared, str))


def test_an_error_while_loading_ends_the_server(tmp_path: Path) -> None:
    def fail(*_: object) -> NoReturn:
        raise WeightsError("The weights are gone.")

    shared = fake_shared()
    shared.generators.clear()
    shared.source.load_generator = fail
    path = tmp_path / "w.sock"
    with pytest.raises(WeightsError):
        asyncio.run(_serve(path, shared, str))
    assert not path.exists()


def test_a_program_that_hangs_keeps_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(str(path))
        assert "Another program serves at" in refusal(path)
        for client in waiting:
            client.close()


def test_the_mode_of_new_files_is_restored(tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    refusal(tmp_path / "none" / "w.sock")
    after = os.umask(before)
    assert after == before


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        (("127.0.0.1", 10750), "tcp://127.0.0.1:10750"),
        (("::1", 7), "tcp://[::1]:7"),
        (Path("/run/a.sock"), "unix:///run/a.sock"),
    ],
)
def test_an_address_is_shown_as_it_can_be_given(address: tuple[str, int] | Path, uri: str) -> None:
    assert shown(address) == uri
    assert check_uri(uri, exposed=False) == address
