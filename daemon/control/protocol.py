"""The protocol of the control socket: JSON, one object a line; see docs/control.md."""

import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import AfterwordError, ControlError, NotRunningError, RefusedError
from config.paths import runtime_folder
from config.standard_streams import json_bytes

VERSION = 1
LINE_BYTES = 16 * 1024  # of a request or an answer
SEED_CHARACTERS = 2000  # several minutes of speech

# Each command with the arguments it needs, all of them text.
COMMANDS: Mapping[str, frozenset[str]] = {
    "status": frozenset(),
    "mute": frozenset(),
    "unmute": frozenset(),
    "hush": frozenset(),
    "say": frozenset({"seed"}),
    "reload": frozenset(),
    "stop": frozenset(),
    "follow": frozenset(),
    "watch": frozenset(),
}

OPTIONAL: Mapping[str, frozenset[str]] = {"reload": frozenset({"wait"})}

_KINDS: Mapping[str, type[AfterwordError]] = {
    "refused": RefusedError,
    "not running": NotRunningError,
    "failed": ControlError,
}


@dataclass(frozen=True)
class Request:
    """One command and its arguments."""

    command: str
    arguments: Mapping[str, str]


def socket_path() -> Path:
    """The path at which this user's daemon listens."""
    return runtime_folder() / "control.sock"


def wyoming_socket_path() -> Path:
    """The path at which this user's Wyoming service listens."""
    return runtime_folder() / "wyoming-control.sock"


def request_line(command: str, arguments: Mapping[str, str]) -> bytes:
    """Encode a request; for the client."""
    return _line({"version": VERSION, "command": command, **arguments})


def read_request(line: bytes) -> Request:
    """Decode a request; for the daemon.

    Raises:
        RefusedError: the line holds no valid request.
    """
    content = _object(line)
    if content is None:
        raise RefusedError("A request is one line with a JSON object, in UTF-8.")
    version, command = content.pop("version", None), content.pop("command", None)
    if version != VERSION or isinstance(version, bool):
        raise RefusedError(f"This daemon speaks version {VERSION} of the protocol.")
    if not isinstance(command, str) or command not in COMMANDS:
        raise RefusedError(f"There is no such command; choose one of: {', '.join(COMMANDS)}.")
    arguments = {name: value for name, value in content.items() if isinstance(value, str)}
    given = content.keys() - OPTIONAL.get(command, frozenset())
    if given != COMMANDS[command] or arguments.keys() != content.keys():
        wanted = " and ".join(sorted(COMMANDS[command])) or "no arguments"
        raise RefusedError(f"The command {command} takes {wanted}, as text.")
    for name, value in arguments.items():
        if not _is_unicode(value):
            raise RefusedError(f"The {name} holds half a character (an unpaired surrogate).")
    return Request(command, arguments)


def answer_line(result: Mapping[str, object]) -> bytes:
    """Encode the answer to a command that succeeded."""
    return _line({"version": VERSION, "ok": True, "result": result})


def error_line(error: Exception) -> bytes:
    """Encode the answer to a command that failed; a bug of the daemon is not described."""
    kind = next((kind for kind, of in _KINDS.items() if isinstance(error, of)), "failed")
    message = str(error) if isinstance(error, AfterwordError) else "The daemon failed; see its log."
    return _line({"version": VERSION, "ok": False, "error": kind, "message": message})


def event_line(event: Mapping[str, object]) -> bytes:
    """Encode an event, for subscribers."""
    return _line(event)


def read_answer(line: bytes) -> Mapping[str, object]:
    """Decode an answer and return its result; for the client.

    Raises:
        RefusedError, NotRunningError: the daemon refused the command.
        ControlError: the command failed, or the answer cannot be read.
    """
    content = _object(line)
    result = content.get("result") if content else None
    if content is None or not (isinstance(result, dict) or "message" in content):
        raise ControlError("The daemon's answer makes no sense; is it of the same version?")
    if isinstance(result, dict):
        return result
    raise _KINDS.get(str(content.get("error")), ControlError)(str(content["message"]))


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user number of the other side, from the kernel (SO_PEERCRED)."""
    layout = struct.Struct("3i")  # struct ucred: pid, uid, gid
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, layout.size)
    pid, uid, _ = layout.unpack(data)
    return pid, uid


def is_same_user(connection: socket.socket) -> bool:
    """True if the other side runs as the same user."""
    return peer(connection)[1] == os.geteuid()


def _is_unicode(text: str) -> bool:
    """True if UTF-8 can carry the text; escapes in JSON can spell surrogates without a pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _line(content: Mapping[str, object]) -> bytes:
    return json_bytes(content) + b"\n"


def _object(line: bytes) -> dict[str, object] | None:
    try:
        content = json.loads(line.decode("utf-8"))  # from bytes, it would take UTF-16, too
    except (ValueError, RecursionError):  # ValueError: of JSON, of UTF-8, or too long a number
        return None
    return content if isinstance(content, dict) else None
