"""The control socket's client: talks to a running daemon. Imports little, to start fast."""

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from config.errors import ControlError, NotRunningError, RefusedError
from daemon.control.protocol import (
    LINE_BYTES,
    read_answer,
    request_line,
    socket_path,
    wyoming_socket_path,
)

if TYPE_CHECKING:
    from daemon.control.status import Status, WyomingStatus

ANSWER_SECONDS = 5.0
RELOAD_SECONDS = 65.0  # new models are loaded before the answer
EVENT_BYTES = 1024 * 1024


def ask(command: str, **arguments: str) -> Mapping[str, object]:
    """Send one request and return its result.

    Raises:
        NotRunningError: no daemon listens.
        RefusedError: the daemon refused the command.
        ControlError: the command failed, or was not answered in time.
    """
    with _sent(command, arguments) as (_, _, result):
        return result


def ask_wyoming(command: str) -> Mapping[str, object]:
    """Send one request, `status` or `reload`, to the Wyoming service; its result.

    Raises:
        As `ask`.
    """
    with _sent(command, {}, wyoming_socket_path()) as (_, _, result):
        return result


def wyoming_status() -> "WyomingStatus | None":
    """The Wyoming service's status; None if none runs.

    Raises:
        As `ask`, but NotRunningError.
    """
    with contextlib.suppress(NotRunningError):
        return cast("WyomingStatus", ask_wyoming("status"))
    return None


def status() -> "Status":
    """The daemon's status.

    Raises:
        As `ask`.
    """
    return cast("Status", ask("status"))


def follow(command: str = "follow") -> Iterator[bytes]:
    """Yield the daemon's events as they happen, each a line of JSON, until the daemon ends.

    `command` may be "watch", which adds the level of the microphone.

    Raises:
        As `ask`.
    """
    with _sent(command, {}) as (connection, stream, _):
        connection.settimeout(None)
        while line := stream.readline(EVENT_BYTES):
            yield line


@contextlib.contextmanager
def _sent(
    command: str, arguments: Mapping[str, str], path: Path | None = None
) -> Iterator[tuple[socket.socket, IO[bytes], Mapping[str, object]]]:
    seconds = RELOAD_SECONDS if command == "reload" else ANSWER_SECONDS
    with _connected(path or socket_path()) as connection, connection.makefile("rb") as stream:
        connection.settimeout(seconds)
        try:
            with contextlib.suppress(BrokenPipeError):  # refused before it was read
                connection.sendall(request_line(command, arguments))
            line = stream.readline(LINE_BYTES)
        except TimeoutError as error:
            raise ControlError(
                f"The daemon gave no answer within {seconds:g} s; see its log."
            ) from error
        except OSError as error:
            raise ControlError(f"The connection to the daemon broke: {error.strerror}.") from error
        yield connection, stream, read_answer(line)


def _connected(path: Path) -> socket.socket:
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
