"""Runs a main loop in a thread beside the test."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daemon.control.protocol import Request
from daemon.loop.main_loop import MainLoop


@contextmanager
def running(loop: MainLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(20)
    assert not thread.is_alive()


def ask(loop: MainLoop, command: str, **arguments: str) -> None:
    loop.inbox.ask(Request(command, arguments))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
