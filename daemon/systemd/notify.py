"""sd_notify client: ready, watchdog, status. Does nothing without NOTIFY_SOCKET.

Each message is one datagram: https://www.freedesktop.org/software/systemd/man/sd_notify.html
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """One notification socket. For the loop's thread alone: a stuck loop must miss the watchdog."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._last_watchdog = float("-inf")
        self._ready = False
        self._status = ""

    def ready(self) -> None:
        """READY=1, once, and again after `reloading`."""
        if not self._ready:
            self._ready = True
            self._send("READY=1")

    def reloading(self) -> None:
        """RELOADING=1: new settings are being applied, until `ready`."""
        self._ready = False
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def status(self, text: str) -> None:
        """STATUS: what the daemon does; sent when it changes."""
        line = " ".join(text.split())  # a line end would begin another variable
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Feed the watchdog, at most four times in its interval."""
        now, interval = time.monotonic(), self._watchdog_seconds
        if interval and now - self._last_watchdog > interval / 4:
            self._last_watchdog = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """STOPPING=1: the daemon ends."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # systemd may not listen; the daemon goes on
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.settimeout(1.0)
            channel.sendto(message.encode("utf-8", "replace"), self._address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The watchdog's interval; 0 without a watchdog, or if it watches another process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environment.get("WATCHDOG_PID", "") not in (
        "",
        str(os.getpid()),
    ):
        return 0.0
    return int(microseconds) / 1e6
