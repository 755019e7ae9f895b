"""The Wyoming server for Home Assistant and other peers: handle, tts, asr and wake.

The protocol, https://github.com/OHF-Voice/wyoming, has no passwords: every peer that can connect
is served. One text is continued and one is spoken at a time; other requests wait. No peer can shut
others out: each is bounded (`Limits`), and a new connection replaces the longest idle one.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.control.status import WyomingStatus
from daemon.systemd.notify import Notifier
from daemon.wyoming.address import Address, listen, shown
from daemon.wyoming.connection import Connection
from daemon.wyoming.control import Command, control_socket
from daemon.wyoming.discovery import announced
from daemon.wyoming.reloading import Reloader
from daemon.wyoming.services.offer import SERVICES
from daemon.wyoming.services.shared import Shared

log = logging.getLogger(__name__)

_KEEPALIVE_SECONDS = 60  # of silence, until the operating system asks whether the peer is there
_KEEPALIVE_INTERVAL_SECONDS = 15
_KEEPALIVE_PROBES = 4
_WARNINGS_PER_MINUTE = 20


def serve(
    address: Address,
    shared: Shared,
    echo: Callable[[str], object],
    reloader: Reloader | None = None,
    name: str = "",
) -> None:
    """Serve clients until SIGINT or SIGTERM; SIGHUP reloads, if there is a reloader.

    With a `name` it is announced in the network.

    Raises:
        RefusedError: the address cannot be listened at.
        AfterwordError: what the default language needs cannot be loaded.
    """
    asyncio.run(_serve(address, shared, echo, reloader, name))


async def _serve(
    address: Address,
    shared: Shared,
    echo: Callable[[str], object],
    reloader: Reloader | None = None,
    name: str = "",
) -> None:
    connections = Connections(shared)
    stopping = asyncio.Event()
    notifier = Notifier()
    began = time.monotonic()
    # First of all, so that an address in use is told before anything is loaded.
    server = await listen(address, connections.accept)
    held = contextlib.AsyncExitStack()
    reloading = _begin_reloading(reloader, stopping) if reloader else None
    try:
        await shared.prepare()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        echo(f"Wyoming peers are served at {shown(address)}.")
        notifier.status(f"serves at {shown(address)}")
        notifier.ready()
        if name:
            await held.enter_async_context(announced(name, address))
        if reloader:
            about = _About(address, shared, connections, reloader, began)
            held.enter_context(control_socket(about.commands))
        await stopping.wait()
    finally:
        notifier.stopping()
        await held.aclose()
        server.close()
        if reloading:
            reloading.cancel()
        await connections.close()
        shared.engines.close()
        if isinstance(address, Path):
            address.unlink(missing_ok=True)


@dataclass(frozen=True)
class _About:
    """What the control socket tells of a server, and does; `began` is a time.monotonic."""

    address: Address
    shared: Shared
    connections: "Connections"
    reloader: Reloader
    began: float

    @property
    def commands(self) -> Mapping[str, Command]:
        return {"status": self.status, "reload": self.reload}

    async def status(self) -> Mapping[str, object]:
        shared, offer = self.shared, self.shared.offer
        told = WyomingStatus(
            address=shown(self.address),
            pid=os.getpid(),
            uptime_seconds=round(time.monotonic() - self.began, 1),
            services=[name for name in SERVICES if name in offer.services],
            languages=offer.languages,
            weights={**shared.source.weights()},
            voice=offer.voices.defaults[shared.default_language],
            clients=len(self.connections),
            refused=self.reloader.refused,
        )
        return {**told}

    async def reload(self) -> Mapping[str, object]:
        await self.reloader.reload()
        return {}


def _begin_reloading(reloader: Reloader, stopping: asyncio.Event) -> asyncio.Task[None]:
    """Reload on SIGHUP; in a terminal that has been closed it ends the program."""
    in_terminal = sys.stderr.isatty()

    def handle() -> None:
        if in_terminal and not os.isatty(2):
            stopping.set()
        else:
            reloader.request()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, handle)
    return asyncio.create_task(reloader.run())


class Connections:
    """All open connections, at most `Limits.connections`."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._open: dict[asyncio.Task[None], Connection] = {}
        self._dismissed: set[asyncio.Task[None]] = set()  # they take their leave
        self._warn = LimitedWarnings(_WARNINGS_PER_MINUTE)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a new connection; if there are too many, the longest idle one is closed."""
        if len(self._open) >= self._shared.limits.connections:
            self._close_longest_idle()
        _keep_alive(writer.get_extra_info("socket"))
        connection = Connection(self._shared, reader, writer, self._warn)
        task = asyncio.create_task(connection.serve())
        self._open[task] = connection
        task.add_done_callback(lambda done: self._forget(done, connection))

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    async def close(self) -> None:
        """Close all connections; texts under way are not finished."""
        tasks = [*self._open, *self._dismissed]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None], connection: Connection) -> None:
        connection.abort()  # for a task that was cancelled before it began
        self._open.pop(task, None)
        self._dismissed.discard(task)

    def _close_longest_idle(self) -> None:
        closable = [task for task, one in self._open.items() if not one.has_place]
        # One that reads its answer slowly counts as idle only if all do.
        idle = [task for task in closable if not self._open[task].is_answering] or closable
        task = min(idle, key=lambda task: self._open[task].last_active)
        connection = self._open.pop(task)
        self._warn(
            f"{len(self._open) + 1} Wyoming clients are connected; the one that has been idle for "
            f"the longest time, {connection.address}, is disconnected for a new one."
        )
        self._dismissed.add(task)
        connection.dismiss("This idle connection is closed, for too many others are open.", task)


class LimitedWarnings:
    """Logs warnings about peers, but so few that no peer can fill the log."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._begin = float("-inf")  # of the current minute, in seconds of time.monotonic
        self._count = 0

    def __call__(self, text: str) -> None:
        """Log a warning, unless there were `per_minute` within a minute."""
        now = time.monotonic()
        if now - self._begin >= 60:
            self._begin, self._count = now, 0
        self._count += 1
        if self._count <= self._per_minute:
            log.warning(text)
        elif self._count == self._per_minute + 1:
            log.warning("More warnings about Wyoming clients are left out for a minute.")


def _keep_alive(connected: socket.socket) -> None:
    """Let the operating system find out that a TCP peer's machine is gone."""
    if connected.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):  # the peer has left already
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS),
            (socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_SECONDS),
            (socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
        ):
            connected.setsockopt(socket.IPPROTO_TCP, option, value)
