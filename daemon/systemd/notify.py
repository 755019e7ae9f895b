"""Tells systemd how we are: ready, alive, a status in words. Nothing where systemd did not ask.

The protocol is one datagram each: https://www.freedesktop.org/software/systemd/man/sd_notify.html
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """One notification socket. For the loop's thread alone: whoever is stuck must fall silent."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read where to write and how often, as systemd put it into the environment."""
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._watchdog_seconds = _watchdog_seconds(environment)
        self._fed = float("-inf")
        self._ready = False
        self._status = ""

    def ready(self) -> None:
        """We serve; told once, and again after `reloading`."""
        if not self._ready:
            self._ready = True
            self._send("READY=1")

    def reloading(self) -> None:
        """We take new settings in; told until we are `ready` again."""
        self._ready = False
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def status(self, words: str) -> None:
        """What we are doing; told when it changes."""
        if words != self._status:
            self._status = words
            self._send(f"STATUS={words}")

    def alive(self) -> None:
        """Feed the watchdog, at most four times in its interval."""
        if self._watchdog_seconds and time.monotonic() - self._fed > self._watchdog_seconds / 4:
            self._fed = time.monotonic()
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """We are on our way out."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # whether systemd listens is not our concern
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.settimeout(1.0)
            channel.sendto(message.encode(), self._address)


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The interval; 0 where there is no watchdog, or it watches another process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environment.get("WATCHDOG_PID", "") not in (
        "",
        str(os.getpid()),
    ):
        return 0.0
    return int(microseconds) / 1e6
