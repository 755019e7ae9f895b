"""The control socket: takes requests of the same user and hands them to the loop.

One request a connection. A client is bounded in everything: how many there are, how long its line
may be, how long it may take to send it and to read the answer. Whatever it does, the loop never
waits for it.
"""

import contextlib
import fcntl
import logging
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from config.errors import AfterwordError, OutputError, RefusedError
from daemon.control.protocol import (
    LINE_BYTES,
    Request,
    answer_line,
    error_line,
    event_line,
    is_ours,
    read_request,
)

log = logging.getLogger(__name__)

CLIENTS = 16  # at a time, those who follow included
CLIENT_SECONDS = 2.0  # to send a request, and again to take in the answer
CLOSE_SECONDS = 0.5  # for all of them together, when we end
FOLLOW_EVENTS = 256  # that may wait for one who reads slowly

Event = Mapping[str, object]
Ask = Callable[[Request, "Subscriber | None"], Mapping[str, object]]


class Subscriber:
    """A queue of events for one client; the loop puts, the client's thread takes."""

    def __init__(self, levels: bool = False) -> None:
        """`levels`: tell this one the level of the microphone, too, several times a second."""
        self._events: queue.Queue[Event | None] = queue.Queue(FOLLOW_EVENTS)
        self.levels = levels
        self.gone = False
        """True when the client has left, or reads too slowly to be waited for."""

    def tell(self, event: Event) -> None:
        """Put one more event, never waiting."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.gone = True

    def next(self, seconds: float) -> Event | None:
        """The next event; None if there is none within `seconds`."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None


# The commands that keep the connection, and what they want to be told.
SUBSCRIBERS: Mapping[str, Callable[[], Subscriber]] = {
    "follow": Subscriber,
    "watch": lambda: Subscriber(levels=True),
}


@contextlib.contextmanager
def hold(path: Path) -> Iterator[int]:
    """Be the only daemon of this user, and own the folder of `path`, until the block ends.

    The kernel frees the lock however a process ends, so what a dead daemon left is no obstacle.

    Yields:
        how many daemons died or failed since one ended in order.

    Raises:
        RefusedError: another daemon runs.
        OutputError: the folder cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        lock = path.with_suffix(".lock").open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(
            f"The folder {path.parent} for the control socket cannot be used: {error.strerror}."
        ) from error
    with lock:
        restarts = _lock(lock, path)
        try:
            yield restarts
        except (SystemExit, KeyboardInterrupt):
            lock.truncate(0)
            raise
        lock.truncate(0)  # not by one that dies or fails


def _lock(lock: IO[str], path: Path) -> int:
    """Lock the file and write our number into it, and how many died before us."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = False
    except OSError:
        held = True
    lock.seek(0)
    left = lock.read(40).split()
    if held:
        raise RefusedError(
            f"Afterword is running already: process {left[0] if left else 'unknown'} holds "
            f"{path}; end it with `afterword stop`."
        )
    restarts = int(left[1]) + 1 if len(left) == 2 and left[1].isdecimal() else 0
    lock.truncate(0)
    with contextlib.suppress(OSError):  # a full disk: the lock itself needs no room
        os.write(lock.fileno(), f"{os.getpid()} {restarts}\n".encode())
    return restarts


class ControlServer:
    """Listens at a path that we hold; `close` ends all threads and removes the socket."""

    def __init__(self, path: Path, ask: Ask) -> None:
        """`ask` hands a request to the loop and returns its answer; it is called in our threads.

        Raises:
            OutputError: the socket cannot be made.
        """
        self._path = path
        self._ask = ask
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(CLIENTS)
        self._socket = _listen(path)
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, when those who wait have had their answer."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join(1)
        self._socket.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        for _ in range(CLIENTS):
            self._places.acquire(timeout=max(0.0, deadline - time.monotonic()))
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closing, or out of descriptors
                self._closing.wait(0.1)
                continue
            if self._places.acquire(blocking=False):
                serve = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                serve.start()
            else:
                _send(connection, error_line(RefusedError("Too many clients at a time.")))
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, contextlib.suppress(OSError):  # the client has left
                connection.settimeout(CLIENT_SECONDS)
                self._answer(connection)
        finally:
            self._places.release()

    def _answer(self, connection: socket.socket) -> None:
        try:
            if not is_ours(connection):
                raise RefusedError("Only the user who runs the daemon may control it.")
            request = read_request(_read_line(connection))
            follower = SUBSCRIBERS.get(request.command, lambda: None)()
            answer = answer_line(self._ask(request, follower))
        except AfterwordError as error:
            connection.sendall(error_line(error))
            return
        except Exception as error:  # a fault of ours must not end the daemon
            log.exception("a control request failed")
            connection.sendall(error_line(error))
            return
        connection.sendall(answer)
        if follower is not None:
            self._follow(connection, follower)

    def _follow(self, connection: socket.socket, follower: Subscriber) -> None:
        try:
            while not (self._closing.is_set() or follower.gone or _has_left(connection)):
                event = follower.next(0.25)
                if event is not None:
                    connection.sendall(event_line(event))
        finally:
            follower.gone = True


def _listen(path: Path) -> socket.socket:
    """A listening socket that only this user can reach; an old one is of a dead daemon."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # private from its first moment
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(CLIENTS)
    except OSError as error:
        listener.close()
        reason = error.strerror or error  # a path too long has no strerror
        raise OutputError(f"The control socket {path} cannot be made: {reason}.") from error
    return listener


def _read_line(connection: socket.socket) -> bytes:
    """One line, however slowly it comes, but not for ever."""
    deadline = time.monotonic() + CLIENT_SECONDS
    data = b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise RefusedError(f"No whole request came within {CLIENT_SECONDS:g} s.")
        connection.settimeout(left)
        try:
            block = connection.recv(LINE_BYTES)
        except TimeoutError:
            continue
        data += block
        if len(data) > LINE_BYTES:
            raise RefusedError(f"A request has at most {LINE_BYTES} bytes.")
        if not block:
            break
    connection.settimeout(CLIENT_SECONDS)
    return data


def _has_left(connection: socket.socket) -> bool:
    """Whether the client has closed its side."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def _send(connection: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.send(line, socket.MSG_DONTWAIT)
