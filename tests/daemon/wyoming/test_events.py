"""Reading events: what a peer may send, and how each fault is named."""

import asyncio
import json
from typing import Any

import pytest
from wyoming.event import Event

from daemon.wyoming.events import LINE_BYTES, InvalidEventError, Limits, read_event


def read(sent: bytes) -> list[Event | InvalidEventError]:
    """The events and faults in these bytes; the last fault may end them."""

    async def run() -> list[Event | InvalidEventError]:
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        reader.feed_data(sent)
        reader.feed_eof()
        found: list[Event | InvalidEventError] = []
        while True:
            try:
                event = await read_event(reader, 60, Limits())
            except InvalidEventError as fault:
                found.append(fault)
                if not fault.is_read:
                    return found
            else:
                if event is None:
                    return found
                found.append(event)

    return asyncio.run(run())


def event_bytes(kind: object, content: bytes, payload: bytes = b"", **header: object) -> bytes:
    lengths = {"data_length": len(content), "payload_length": len(payload)}
    return json.dumps({"type": kind, **lengths, **header}).encode() + b"\n" + content + payload


AFTER = b'{"type": "describe"}\n'
DEEP = b"[" * 100_000
UNREADABLE = [  # where the next event begins is unknown
    (b"\n", "text that is not JSON"),
    (b"no JSON\n", "text that is not JSON"),
    (b"\xff\xfe\n", "text that is not UTF-8"),
    (b'{"type": "caf\xe9"}\n', "text that is not UTF-8"),
    (b"[]\n", "JSON that is not an object"),
    (b'"describe"\n', "JSON that is not an object"),
    (b"NaN\n", "a number that is not finite"),
    (b"[" * 30_000 + b"]" * 30_000 + b"\n", "JSON that is nested too deeply"),
    (b'{"type":"x","data":' + b"[" * 900 + b"]" * 900 + b"}\n", "JSON that is nested too deeply"),
    (b'{"type": "x", "n": ' + b"9" * 5000 + b"}\n", "text that is not JSON"),
    (b'{"type": "x", "n": 1e999}\n', "a number that is not finite"),
    (b"x" * 100_000 + b"\n", "a line of more than 64 KiB"),
    (b"x" * 100_000, "a line of more than 64 KiB"),
    (b'{"type": "x"', "text that is not JSON"),
    (b'{"type": "x", "data_length": 50}\n{"text"', "an event that is cut off"),
    (b'{"type": "x", "payload_length": 50}\nabc', "an event that is cut off"),
    *(
        (f'{{"type": "x", "{key}": {length}}}\n'.encode(), f"a {key} that is not between 0 and")
        for key in ("data_length", "payload_length")
        for length in ("-5", "4294967296", "1e3", '"7"', "true", "[]", "{}", "9" * 4000, "262145")
    ),
]
READ = [  # the next event is answered
    (event_bytes(5, b""), "an event without a type"),
    (event_bytes(None, b"{}"), "an event without a type"),
    (b"{}\n", "an event without a type"),
    (b'{"data": {}}\n', "an event without a type"),
    (event_bytes("x", b"", data=[]), "JSON that is not an object"),
    (event_bytes("x", b"", data="text"), "JSON that is not an object"),
    (event_bytes("x", b"[1]"), "JSON that is not an object"),
    (event_bytes("x", b"null", b"abc"), "JSON that is not an object"),
    (event_bytes("x", b"\xff\xff"), "text that is not UTF-8"),
    (event_bytes("x", b"{} {}"), "text that is not JSON"),
    (event_bytes("x", b'{"a": NaN}'), "a number that is not finite"),
    (event_bytes("x", b'{"a": [-Infinity]}'), "a number that is not finite"),
    (event_bytes("x", b'{"a": ' + b"9" * 5000 + b"}"), "text that is not JSON"),
    (event_bytes("x", DEEP), "JSON that is nested too deeply"),
    (event_bytes("x", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"), "JSON that is nested too deeply"),
]


@pytest.mark.parametrize(("sent", "fault"), UNREADABLE)
def test_an_event_whose_end_is_unknown_ends_the_reading(sent: bytes, fault: str) -> None:
    (found,) = read(sent)
    assert isinstance(found, InvalidEventError)
    assert (str(found)[: len(fault)], found.is_read) == (fault, False)


@pytest.mark.parametrize(("sent", "fault"), READ)
def test_after_invalid_data_the_next_event_is_read(sent: bytes, fault: str) -> None:
    found, after = read(sent + AFTER)
    assert isinstance(found, InvalidEventError)
    assert (str(found), found.is_read) == (fault, True)
    assert after == Event("describe", {})


@pytest.mark.parametrize(
    ("sent", "data"),
    [
        (b'{"type": "x"}', {}),  # without the end of its line
        (b'{"type": "x", "data": null, "data_length": null}\n', {}),
        (event_bytes("x", b'{"b": 2}', data={"a": 1, "b": 1}), {"a": 1, "b": 2}),
        (event_bytes("x", b'{"text": "\\ud83e\\udd8a \\ud83e."}'), {"text": "\U0001f98a \ufffd."}),
        (event_bytes("x", b'{"\\udc00": ["\\ud800"]}'), {"\ufffd": ["\ufffd"]}),
        (event_bytes("x", b'{"a": "\\u0000\\u0007"}'), {"a": "\0\a"}),
        (event_bytes("x", b'{"a": ' + b"9" * 4000 + b"}"), {"a": int("9" * 4000)}),
    ],
)
def test_unusual_events_are_read(sent: bytes, data: dict[str, Any]) -> None:
    assert read(sent) == [Event("x", data)]


def test_a_payload_is_read() -> None:
    assert read(event_bytes("x", b"{}", b"\0\n\xff") + AFTER) == [
        Event("x", {}, b"\0\n\xff"),
        Event("describe", {}),
    ]
