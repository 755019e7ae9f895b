"""The server is announced in the network, and taken back; a real browser looks for it."""

import asyncio
import importlib.util
from pathlib import Path

import pytest

from config.errors import MissingPackageError, RefusedError
from daemon.wyoming.discovery import announced, check_announced, default_name
from tests.daemon.wyoming.peers import free_port
from tests.support.program import afterword

HERE = ("127.0.0.1", 10750)
EVERYWHERE = ("0.0.0.0", 10750)  # noqa: S104


@pytest.mark.parametrize("address", [HERE, ("::1", 10750), Path("/run/w.sock")])
def test_what_others_cannot_reach_is_not_announced(address: tuple[str, int] | Path) -> None:
    with pytest.raises(RefusedError, match=r"add --uri tcp://0\.0\.0\.0:10750 --expose"):
        check_announced("fox", address)


@pytest.mark.parametrize("name", [" ", "a.b", "x" * 64])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="is no name"):
        check_announced(name, EVERYWHERE)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(MissingPackageError, match=r"needs the package zeroconf.*install"):
        check_announced(default_name(), EVERYWHERE)


def test_the_program_refuses_before_it_loads_anything() -> None:
    for arguments in (["--zeroconf"], ["--zeroconf", "fox"]):
        done = afterword("wyoming", *arguments)
        assert (done.code, done.out) == (77, "")
        assert "--zeroconf announces Afterword to other machines" in done.err


async def found(name: str, seconds: float) -> tuple[list[str], int] | None:
    """Addresses and port of the service of this name, as a browser finds it."""
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

    browser = AsyncZeroconf()
    try:
        info = AsyncServiceInfo("_wyoming._tcp.local.", f"{name}._wyoming._tcp.local.")
        if not await info.async_request(browser.zeroconf, round(1000 * seconds)):
            return None
        return info.parsed_addresses(), info.port or 0
    finally:
        await browser.async_close()


@pytest.mark.skipif(
    importlib.util.find_spec("zeroconf") is None, reason="the extra `zeroconf` is not installed"
)
def test_a_browser_finds_it_until_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    name, port = "afterword-test", free_port()

    async def run() -> None:
        async with announced(name, ("127.0.0.1", port)):
            if "cannot be announced" in caplog.text:
                pytest.skip("there is no network for multicasts")
            assert await found(name, 10) == (["127.0.0.1"], port)
            async with announced(name, ("127.0.0.1", port)):  # taken already
                assert "cannot be announced" in caplog.text
        assert await found(name, 1) is None

    asyncio.run(run())
