"""The control socket's server: hands requests of the same user to the main loop.

One request a connection. Clients are bounded in number, in the length of a line, and in the time
to send a request and to read the answer. Followers, who stay, have a bound of their own, so that
they cannot shut out the others. The loop never waits for a client.
"""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from config.errors import AfterwordError, OutputError, RefusedError
from config.private_file import private_umask
from daemon.control.protocol import (
    LINE_BYTES,
    Request,
    answer_line,
    error_line,
    event_line,
    is_same_user,
    read_request,
)
from daemon.control.subscriber import SUBSCRIBERS, Subscriber

log = logging.getLogger(__name__)

CLIENTS = 16  # at a time that send a request or wait for its answer
FOLLOWERS = 16  # at a time that stay for the events
CLIENT_SECONDS = 2.0  # to send a request, and again to read the answer
CLOSE_SECONDS = 0.5  # for all clients together, when the daemon ends

Ask = Callable[[Request, Subscriber | None], Mapping[str, object]]


class ControlServer:
    """Listens at a path whose lock is held; `close` ends all threads and removes the socket."""

    def __init__(self, path: Path, ask: Ask) -> None:
        """`ask` hands a request to the loop and returns its answer; called in a thread per client.

        Raises:
            OutputError: the socket cannot be made.
        """
        self._path = path
        self._ask = ask
        self._closing = threading.Event()
        self._places = threading.BoundedSemaphore(CLIENTS)
        self._followers = threading.BoundedSemaphore(FOLLOWERS)
        self._has_refused = False  # a client, since there was a place
        self._socket = _listen(path)
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, after the requests under way have been answered."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._thread.join(1)
        self._socket.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        for places, count in ((self._places, CLIENTS), (self._followers, FOLLOWERS)):
            for _ in range(count):
                places.acquire(timeout=max(0.0, deadline - time.monotonic()))
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
                try:
                    serve.start()
                except RuntimeError:  # the system gives no more threads
                    self._places.release()
                    self._refuse(connection)
                else:
                    self._has_refused = False
            else:
                self._refuse(connection)

    def _refuse(self, connection: socket.socket) -> None:
        if not self._has_refused:
            log.warning(
                "More clients at a time than can be served (%d); some are refused.", CLIENTS
            )
        self._has_refused = True
        _send(connection, error_line(RefusedError("Too many clients at a time.")))
        connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with (
            contextlib.ExitStack() as place,
            connection,
            contextlib.suppress(OSError),  # the client has left
        ):
            place.callback(self._places.release)
            connection.settimeout(CLIENT_SECONDS)
            self._answer(connection, place)

    def _answer(self, connection: socket.socket, place: contextlib.ExitStack) -> None:
        """Answer one request; `place` frees the client's place among the clients."""
        try:
            if not is_same_user(connection):
                raise RefusedError("Only the user who runs the daemon may control it.")
            request = read_request(_read_line(connection))
            subscriber = SUBSCRIBERS.get(request.command, lambda: None)()
            if subscriber is not None:
                self._move_to_followers(place)
            answer = answer_line(self._ask(request, subscriber))
        except AfterwordError as error:
            connection.sendall(error_line(error))
            return
        except Exception as error:  # a bug must not end the daemon
            log.exception("a control request failed")
            connection.sendall(error_line(error))
            return
        connection.sendall(answer)
        if subscriber is not None:
            self._send_events(connection, subscriber)

    def _move_to_followers(self, place: contextlib.ExitStack) -> None:
        if not self._followers.acquire(blocking=False):
            raise RefusedError("Too many followers at a time.")
        place.close()
        place.callback(self._followers.release)

    def _send_events(self, connection: socket.socket, subscriber: Subscriber) -> None:
        try:
            while not (self._closing.is_set() or subscriber.disconnected or _hung_up(connection)):
                event = subscriber.next(0.25)
                if event is not None:
                    connection.sendall(event_line(event))
        finally:
            subscriber.disconnected = True


def _listen(path: Path) -> socket.socket:
    """A listening socket that only this user can reach; it replaces a dead daemon's."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with private_umask():
            listener.bind(str(path))
        listener.listen(CLIENTS)
    except OSError as error:
        listener.close()
        reason = error.strerror or error  # a path too long has no strerror
        raise OutputError(f"The control socket {path} cannot be made: {reason}.") from error
    return listener


def _read_line(connection: socket.socket) -> bytes:
    """One line, however slowly it comes, within `CLIENT_SECONDS`."""
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


def _hung_up(connection: socket.socket) -> bool:
    """True if the client has closed its side."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def _send(connection: socket.socket, line: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.send(line, socket.MSG_DONTWAIT)
