"""Announces the server in the network (mDNS, zeroconf): Home Assistant finds it by itself."""

import contextlib
import importlib.util
import ipaddress
import logging
import platform
from collections.abc import AsyncIterator
from pathlib import Path

from config.errors import MissingPackageError, RefusedError
from config.installation import add_extra_command
from daemon.wyoming.address import DEFAULT_PORT, Address, is_loopback, shown

log = logging.getLogger(__name__)

_NAME_BYTES = 63  # of a label in DNS


def default_name() -> str:
    """The name without another one given: of the program and the machine, for two may announce."""
    host = platform.node().partition(".")[0]
    return f"afterword-{host}" if host else "afterword"


def check_announced(name: str, address: Address) -> None:
    """Refuse what cannot be announced.

    Raises:
        RefusedError: no other machine reaches the address, or the name is none.
        MissingPackageError: the package `zeroconf` is not installed.
    """
    if isinstance(address, Path) or is_loopback(address[0]):
        raise RefusedError(
            f"--zeroconf announces Afterword to other machines, and they cannot reach "
            f"{shown(address)}; add --uri tcp://0.0.0.0:{_port(address)} --expose."
        )
    if not name.strip() or "." in name or len(name.encode()) > _NAME_BYTES:
        raise RefusedError(
            f"--zeroconf {name!r} is no name: 1 to {_NAME_BYTES} bytes without a full stop."
        )
    if importlib.util.find_spec("zeroconf") is None:
        raise MissingPackageError(
            "--zeroconf needs the package zeroconf, which is not installed; "
            f"`{add_extra_command('zeroconf')}` brings it."
        )


@contextlib.asynccontextmanager
async def announced(name: str, address: Address) -> AsyncIterator[None]:
    """Announce the service `_wyoming._tcp.local.` until the end of the context.

    Where that fails, as without a network, it is logged, and the server serves all the same.
    """
    from wyoming.zeroconf import HomeAssistantZeroconf
    from zeroconf import Error

    async with contextlib.AsyncExitStack() as held:
        try:
            host, port = address if not isinstance(address, Path) else ("", 0)
            service = HomeAssistantZeroconf(port, name, _ipv4(host))
            held.push_async_callback(service._aiozc.async_close)  # it has no method for that
            await service.register_server()
            log.info("announced in the network as %s, at %s:%d", name, service.host, port)
        except (Error, OSError) as error:
            reason = str(error) or type(error).__name__
            log.warning(
                "Afterword cannot be announced in the network (%s); enter its address "
                "in Home Assistant.",
                reason,
            )
        yield


def _ipv4(host: str) -> str | None:
    """The address to announce; None lets the library find that of this machine."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return str(address) if address.version == 4 and not address.is_unspecified else None
    return None


def _port(address: Address) -> int:
    return DEFAULT_PORT if isinstance(address, Path) else address[1]
