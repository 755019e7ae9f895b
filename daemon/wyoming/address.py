"""Addresses of the server: what `--uri` allows, and listening there."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from config.errors import ConfigError, RefusedError
from config.private_file import private_umask
from daemon.wyoming.events import LINE_BYTES

DEFAULT_PORT = 10750  # none of the known Wyoming services; 10300 is that of Whisper and Vosk
_LAST_PORT = 65_535

Address = tuple[str, int] | Path  # host and port, or a Unix socket
Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


def check_uri(uri: str, *, exposed: bool) -> Address:
    """The address to listen at: host and port, or the path of a socket.

    Raises:
        ConfigError: the URI is not an address.
        RefusedError: other machines could connect, and `exposed` is False.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ConfigError(f"--uri {uri} is no address: {error}.") from error
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return Path(parts.path)
    if parts.scheme != "tcp" or not host or parts.path not in ("", "/"):
        raise ConfigError(f"--uri {uri} should be tcp://HOST:PORT or unix:///PATH.")
    if not exposed and not is_loopback(host):
        raise RefusedError(
            f"At {_shown_host(host)} other machines could use Afterword, without a password; add "
            "--expose if they may, else listen at tcp://127.0.0.1."
        )
    return host, port


def shown(address: Address) -> str:
    """The address as a URI."""
    if isinstance(address, Path):
        return f"unix://{address}"
    host, port = address
    return f"tcp://{_shown_host(host)}:{port}"


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def listen(address: Address, accept: Accept) -> asyncio.Server:
    """Listen, and call `accept` for each connection.

    Raises:
        RefusedError: this cannot be listened at.
    """
    try:
        if not isinstance(address, Path):
            return await asyncio.start_server(accept, *address, limit=LINE_BYTES)
        _check_free(address)
        with private_umask():
            return await asyncio.start_unix_server(accept, address, limit=LINE_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a host or path of impossible characters
        raise RefusedError(
            f"Afterword cannot listen at {shown(address)}: {_reason(error)}; "
            f"{_remedy(address, error)}."
        ) from error


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_free(path: Path) -> None:
    """Refuse a path that holds a file or a live socket; asyncio would replace any socket."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise RefusedError(f"{path} exists and is no socket; name another one with --uri.")
        with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # a program that hangs would not accept
            with contextlib.suppress(BlockingIOError):
                probe.connect(str(path))
            raise RefusedError(f"Another program serves at {path}; name another one with --uri.")


def _remedy(address: Address, error: OSError | ValueError) -> str:
    advice = "name another address with --uri"
    if isinstance(address, Path) or getattr(error, "errno", None) != errno.EADDRINUSE:
        return advice
    host, port = address[:2]
    return f"{advice}, such as {shown((host, port + 1 if port < _LAST_PORT else port - 1))}"


def _reason(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return "another program listens there"
    if error.errno and error.errno in errno.errorcode:
        return os.strerror(error.errno)  # asyncio's own words name the address again
    return error.strerror or str(error)
