"""Reads and writes events, within limits of time, size and content.

An event is a line of JSON (the header), then as many bytes of JSON (its data) and of anything (its
payload) as the header announces. The library can read one, but it takes as many bytes and as long
as the peer likes, and does not tell the end of a connection from an event that cannot be read.
"""

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any, cast

from wyoming.event import Event
from wyoming.version import __version__

LINE_BYTES = 64 * 1024
PART_BYTES = 256 * 1024  # data or payload
UNREAD_BYTES = 2**20  # sent to a peer that does not read, without waiting for it
NESTED_LEVELS = 32  # of lists and objects; Python's own limit depends on the stack


@dataclass(frozen=True)
class Limits:
    """Limits of the time, the memory and the places that peers take.

    Attributes:
        connections: open at a time; when one more comes, the longest idle one is closed.
        requests: texts that are computed or wait for it; a peer that sends another is refused.
            Fewer than `connections`, so that one of these can always be closed.
        sounds: that are recognised at a time; a peer that sends another is refused.
        watches: sounds in which trigger phrases are detected at a time, likewise.
        event_seconds: for an event from its first byte to its last; and for the first event of a
            connection to begin, or the next one after an error or within a sound.
        idle_seconds: for any other event to begin.
        write_seconds: for a peer to take what is sent to it.
    """

    connections: int = 128
    requests: int = 24
    sounds: int = 24
    watches: int = 24
    event_seconds: float = 30.0
    idle_seconds: float = 300.0
    write_seconds: float = 30.0


class InvalidEventError(Exception):
    """An event that breaks the protocol; its message names the fault, never the peer's words.

    Attributes:
        type: the event's type, "" if unknown.
        is_read: True if the whole event was read, so that the next one can be.
    """

    def __init__(self, fault: str, *, type: str = "", is_read: bool = False) -> None:
        super().__init__(fault)
        self.type = type
        self.is_read = is_read


class DisconnectedError(Exception):
    """The peer has left, or does not read what is sent to it."""


async def read_event(
    reader: asyncio.StreamReader, idle_seconds: float, limits: Limits
) -> Event | None:
    """The next event; None if the peer has left, or sent nothing for `idle_seconds`.

    The reader's own limit is `LINE_BYTES`. All strings of the event are valid Unicode and all
    numbers finite, so that they can be written again.

    Raises:
        InvalidEventError: the event breaks the protocol or a limit.
        DisconnectedError: the connection broke.
    """
    try:
        async with asyncio.timeout(idle_seconds):
            first = await reader.read(1)
    except TimeoutError:  # also the operating system's, of a peer whose machine is gone
        return None
    except OSError as error:
        raise DisconnectedError from error
    if not first:
        return None
    try:
        async with asyncio.timeout(limits.event_seconds):
            return await _read_rest(first, reader)
    except asyncio.IncompleteReadError as error:
        raise InvalidEventError("an event that is cut off") from error
    except TimeoutError as error:
        fault = f"an event that was not complete after {limits.event_seconds:g} s"
        raise InvalidEventError(fault) from error
    except OSError as error:
        raise DisconnectedError from error


def send_event(event: Event, writer: asyncio.StreamWriter) -> None:
    """Send an event without waiting for the peer; it is kept in memory until the peer takes it.

    Raises:
        DisconnectedError: the peer has left, or `UNREAD_BYTES` wait for it.
    """
    if writer.is_closing():
        raise DisconnectedError
    if writer.transport.get_write_buffer_size() > UNREAD_BYTES:
        raise DisconnectedError(f"left {UNREAD_BYTES // 2**20} MiB unread")
    data = json.dumps(event.data).encode() if event.data else b""
    payload = event.payload or b""
    header = {"type": event.type, "version": __version__}
    lengths = {"data_length": len(data), "payload_length": len(payload)}
    header_line = json.dumps(header | {key: length for key, length in lengths.items() if length})
    writer.write(header_line.encode() + b"\n" + data + payload)


async def write_event(event: Event, writer: asyncio.StreamWriter, limits: Limits) -> None:
    """Send an event, and wait until the peer has taken most of what it was sent.

    Raises:
        DisconnectedError: the peer has left, or took nothing for `limits.write_seconds`.
    """
    send_event(event, writer)
    try:
        async with asyncio.timeout(limits.write_seconds):
            await writer.drain()
    except TimeoutError as error:
        raise DisconnectedError(f"took nothing for {limits.write_seconds:g} s") from error
    except OSError as error:
        raise DisconnectedError from error


async def _read_rest(first: bytes, reader: asyncio.StreamReader) -> Event:
    try:
        line = first if first == b"\n" else first + await reader.readline()
    except ValueError as error:
        raise InvalidEventError(f"a line of more than {LINE_BYTES // 1024} KiB") from error
    try:
        header = _parsed(line)
        lengths = [_length(header, key) for key in ("data_length", "payload_length")]
    except ValueError as error:
        raise InvalidEventError(str(error)) from error
    raw_data, payload = [await reader.readexactly(length) for length in lengths]
    kind = header.get("type")
    if not isinstance(kind, str):
        raise InvalidEventError("an event without a type", is_read=True)
    try:
        inline = header.get("data")
        data = {} if inline is None else _object(inline)
        data |= _parsed(raw_data) if raw_data else {}
    except ValueError as error:
        raise InvalidEventError(str(error), type=kind, is_read=True) from error
    return Event(kind, data, payload or None)


def _parsed(raw: bytes) -> dict[str, Any]:
    """The JSON object in these bytes; every fault is a ValueError that says which."""
    try:
        value = json.loads(raw.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError("text that is not UTF-8") from error
    except ValueError as error:
        raise ValueError("text that is not JSON") from error
    return _object(_cleaned(value))


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("JSON that is not an object")
    return cast(dict[str, Any], value)


def _cleaned(value: object, levels: int = NESTED_LEVELS) -> object:
    """The same JSON with surrogates joined to characters, lone ones replaced by U+FFFD."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float() if not math.isfinite(value):
            raise ValueError("a number that is not finite")
        case dict() | list() if levels == 0:
            raise ValueError("JSON that is nested too deeply")
        case dict():
            return {_cleaned(key): _cleaned(item, levels - 1) for key, item in value.items()}
        case list():
            return [_cleaned(item, levels - 1) for item in value]
    return value


def _length(header: dict[str, Any], key: str) -> int:
    length = header.get(key)
    if length is None:
        return 0
    if type(length) is not int or not 0 <= length <= PART_BYTES:
        raise ValueError(f"a {key} that is not between 0 and {PART_BYTES // 1024} KiB")
    return length
