"""Talks to a running daemon. Imports little, so that every command answers at once."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from typing import IO

from config.errors import ControlError, NotRunningError, RefusedError
from daemon.control.protocol import LINE_BYTES, read_answer, request_line, socket_path

ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 65.0  # new models are loaded before it is answered
EVENT_BYTES = 1024 * 1024


def ask(command: str, **arguments: str) -> Mapping[str, object]:
    """Send one request and return its result.

    Raises:
        NotRunningError: no daemon listens.
        RefusedError: it will not do that.
        ControlError: it failed, or gave no answer in time.
    """
    with _asked(command, arguments) as (_, _, result):
        return result


def follow(command: str = "follow") -> Iterator[bytes]:
    """The daemon's events as they happen, each a line of JSON, until it ends.

    `command` may be "watch", which tells the level of the microphone, too.

    Raises:
        As `ask`.
    """
    with _asked(command, {}) as (connection, stream, _):
        connection.settimeout(None)
        while line := stream.readline(EVENT_BYTES):
            yield line


@contextlib.contextmanager
def _asked(
    command: str, arguments: Mapping[str, str]
) -> Iterator[tuple[socket.socket, IO[bytes], Mapping[str, object]]]:
    seconds = RELOAD_SECONDS if command == "reload" else ANSWER_SECONDS
    with _connected() as connection, connection.makefile("rb") as stream:
        connection.settimeout(seconds)
        try:
            with contextlib.suppress(BrokenPipeError):  # it may have answered without listening
                connection.sendall(request_line(command, arguments))
            line = stream.readline(LINE_BYTES)
        except TimeoutError as error:
            raise ControlError(
                f"The daemon gave no answer within {seconds:g} s; see its log."
            ) from error
        except OSError as error:
            raise ControlError(f"The connection to the daemon broke: {error.strerror}.") from error
        yield connection, stream, read_answer(line)


def _connected() -> socket.socket:
    path = socket_path()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        if isinstance(error, PermissionError):
            raise RefusedError(f"The control socket {path} belongs to another user.") from error
        if isinstance(error, TimeoutError | BlockingIOError):
            raise ControlError(f"The daemon at {path} takes no more clients.") from error
        raise NotRunningError(
            "Afterword is not running; start it: `afterword run`, or `afterword service install`."
        ) from error
    return connection
