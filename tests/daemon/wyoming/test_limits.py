"""Peers that are silent, slow, greedy or odd: each is bounded, and the others are served."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcript
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.handle import Handled, NotHandled
from wyoming.info import Describe
from wyoming.tts import Synthesize

from daemon.wyoming.address import listen
from daemon.wyoming.events import Limits
from daemon.wyoming.server import Connections, LimitedWarnings
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.shared import Shared
from tests.daemon.wyoming.peers import answers, ask, connected, served, warnings

DESCRIBE = b'{"type": "describe"}\n'
SHORT = Limits(event_seconds=1.0, idle_seconds=2.0, write_seconds=1.0)


@dataclass
class HeldGenerator:
    """Says sentences, endless if need be; waits for `held` before the first."""

    held: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    sentences: int = 10**9
    sentence: str = "It went on."
    said: int = 0
    cancelled: Callable[[], bool] = bool

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.cancelled = cancelled
        self.begun.set()
        assert self.held.wait(60)
        for _ in range(self.sentences):
            self.said += 1
            yield self.sentence


def in_thread(event: threading.Event) -> Awaitable[bool]:
    return asyncio.to_thread(event.wait, 60)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b'{"type": "desc',
        b'{"type": "transcript", "data_length": 50}\n{"text"',
        b'{"type": "x", "payload_length": 200000}\nabc',
        DESCRIBE,
    ],
)
def test_silent_connections_do_not_shut_others_out(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncExitStack() as silent:
            for _ in range(3 * shared.limits.connections):
                _, writer = await silent.enter_async_context(connected(uri))
                writer.write(sent)
            await ask(uri, Describe().event(), "info")
            await ask(uri, Transcript("a fox").event(), "handled-stop")

    served(test, tmp_path)
    told = warnings(caplog)
    assert (
        "128 Wyoming clients are connected; the one that has been idle for the longest" in told[0]
    )
    assert len(told) <= 21  # few, however many there are


def test_the_longest_idle_connection_is_closed_for_a_new_one(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        clients = [AsyncClient.from_uri(uri) for _ in range(4)]
        for client in (*clients[:3], clients[0], clients[3]):
            if client is not clients[0] or client._writer is None:
                await client.connect()
            await client.write_event(Describe().event())
            assert await client.read_event()
        farewell = Error.from_event(await clients[1].read_event())
        assert farewell == Error(
            "This idle connection is closed, for too many others are open.", "busy"
        )
        assert await clients[1].read_event() is None
        for client in (clients[0], clients[2], clients[3]):
            await client.write_event(Describe().event())
            assert await client.read_event()
        for client in clients:
            await client.disconnect()

    served(test, tmp_path, Limits(connections=3, requests=2))


def test_eighteen_pipelines_at_once_are_all_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def pipeline(uri: str, number: int) -> None:
        asked = Transcript("a fox", {"conversation_id": str(number)})
        *_, handled, _ = await ask(uri, asked.event(), "handled-stop")
        text = Handled.from_event(handled).text
        assert text
        await ask(uri, Synthesize(text).event(), "audio-stop")

    async def test(shared: Shared, uri: str) -> None:
        await asyncio.gather(*(pipeline(uri, number) for number in range(18)))

    served(test, tmp_path)
    assert warnings(caplog) == []


def test_a_text_under_way_is_finished_however_many_connect(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"] = generator = HeldGenerator(sentences=2)
        asked = asyncio.create_task(ask(uri, Transcript("a fox").event(), "handled-stop"))
        assert await in_thread(generator.begun)
        async with AsyncExitStack() as silent:
            for _ in range(2 * shared.limits.connections):
                await silent.enter_async_context(connected(uri))
            await ask(uri, Describe().event(), "info")
            generator.held.set()
            assert Handled.from_event((await asked)[-2]).text == "It went on. It went on."

    served(test, tmp_path)


def test_speech_that_is_read_slowly_is_finished_however_many_connect(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = lambda text: iter([(text, np.zeros(10**6, np.int16))])
        async with connected(uri) as (reader, writer):
            await async_write_event(Synthesize("A fox.").event(), writer)
            await async_read_event(reader)  # and for a while no further one
            async with AsyncExitStack() as silent:
                for _ in range(6):
                    await silent.enter_async_context(connected(uri))
                await ask(uri, Describe().event(), "info")
            events = [await async_read_event(reader)]
            while events[-1] and events[-1].type != "audio-stop":
                events.append(await async_read_event(reader))
            assert events[-1]

    served(test, tmp_path, Limits(connections=3, requests=2))


def test_a_busy_server_says_so_and_keeps_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"] = generator = HeldGenerator(sentences=1)
        asked = [ask(uri, Transcript("a fox").event(), "handled-stop") for _ in range(2)]
        under_way = asyncio.gather(*asked)
        while not shared.places.locked():
            await asyncio.sleep(0.01)
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcript("a hen").event())
            refused = NotHandled.from_event(await client.read_event())
            assert refused.text == ANSWERS["en"].busy
            await client.write_event(Synthesize("A hen.").event())
            assert Error.from_event(await client.read_event()) == Error(refused.text, "busy")
            while (await client.read_event()).type != "audio-stop":  # it comes, for who awaits it
                pass
            generator.held.set()
            await under_way
            await client.write_event(Transcript("a hen").event())
            assert (await client.read_event()).type == "handled-start"

    served(test, tmp_path, Limits(requests=2))
    assert (
        "The Wyoming client at the socket was refused: 2 texts are in hand." in warnings(caplog)[0]
    )


@pytest.mark.parametrize(
    ("sent", "types"),
    [
        (b"", []),
        (DESCRIBE, ["info"]),
        (b'{"type": "desc', ["error"]),
        (DESCRIBE + b'{"type": "x", "payload_length": 9}\n', ["info", "error"]),
        (b'{"type": "transcript", "data_length": 2}\n[]', ["not-handled"]),
    ],
)
def test_a_connection_that_falls_silent_is_closed_in_time(
    sent: bytes, types: list[str], tmp_path: Path
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with connected(uri) as (reader, writer):
            writer.write(sent)
            assert [event.type for event in await answers(reader)] == types

    served(test, tmp_path, SHORT)


def test_an_event_that_comes_byte_by_byte_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with connected(uri) as (reader, writer):
            answered = asyncio.create_task(answers(reader))
            while not answered.done():
                writer.write(b" ")
                await asyncio.sleep(0.02)
            (event,) = answered.result()
            assert "that was not complete after 1 s" in Error.from_event(event).text

    served(test, tmp_path, SHORT)
    assert len(warnings(caplog)) == 1


def test_a_text_may_take_longer_than_an_event(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"] = generator = HeldGenerator(sentences=1)
        asked = asyncio.create_task(ask(uri, Transcript("a fox").event(), "handled-stop"))
        await asyncio.sleep(2)
        generator.held.set()
        assert Handled.from_event((await asked)[-2]).text == "It went on."

    served(test, tmp_path, SHORT)


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (DESCRIBE * 20_000, "took nothing for 1 s"),
        (b'{"type": "synthesize", "data": {"text": "A fox."}}\n', "took nothing for 1 s"),
        (b'{"type": "transcript", "data": {"text": "a fox"}}\n', "left 1 MiB unread"),
    ],
)
def test_a_peer_that_never_reads_is_disconnected(
    sent: bytes, fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = lambda text: iter([(text, np.zeros(10**7, np.int16))])
        endless = HeldGenerator(sentence="It went on " * 1000)  # soon more than the peer may leave
        endless.held.set()
        everyday, shared.generators["en"] = shared.generators["en"], endless
        async with connected(uri) as (_, writer):
            writer.write(sent)
            while fault not in caplog.text:
                await asyncio.sleep(0.05)
            shared.generators["en"] = everyday
            await ask(uri, Transcript("a fox").event(), "handled-stop")

    served(test, tmp_path, SHORT)
    assert warnings(caplog) == [f"The Wyoming client at the socket {fault}: disconnected."]


def test_slow_peers_take_no_place(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = lambda text: iter([(text, np.zeros(10**7, np.int16))])
        async with AsyncExitStack() as slow:
            for _ in range(4):
                reader, writer = await slow.enter_async_context(connected(uri))
                await async_write_event(Synthesize("A fox.").event(), writer)
                await async_read_event(reader)  # and no further one
            await ask(uri, Transcript("a fox").event(), "handled-stop")
            del shared.engine.stream
            await ask(uri, Synthesize("A fox.").event(), "audio-stop")

    served(test, tmp_path, Limits(requests=2))


def test_a_peer_that_leaves_in_mid_stream_ends_the_generation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        shared.generators["en"] = generator = HeldGenerator()
        generator.held.set()
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcript("a fox").event())
            for _ in range(3):
                assert await client.read_event()
        while shared.generating.locked():
            await asyncio.sleep(0.01)
        assert generator.cancelled()
        said = generator.said
        await ask(uri, Describe().event(), "info")
        assert generator.said == said > 0

    served(test, tmp_path)
    assert warnings(caplog) == []


def test_a_peer_that_leaves_in_mid_speech_ends_it(tmp_path: Path) -> None:
    spoken = []

    def speak(text: str) -> Iterator[tuple[str, np.ndarray]]:
        while True:
            spoken.append(text)
            yield text, np.zeros(1000, np.int16)

    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = speak
        tasks = len(asyncio.all_tasks())
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Synthesize("A fox.").event())
            for _ in range(3):
                assert await client.read_event()
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)
        pieces = len(spoken)
        await ask(uri, Describe().event(), "info")
        assert len(spoken) == pieces > 0

    served(test, tmp_path)


def test_a_short_text_passes_a_long_one(tmp_path: Path) -> None:
    spoken = []

    def speak(text: str) -> Iterator[tuple[str, np.ndarray]]:
        for _ in range(100 if text == "long" else 1):
            time.sleep(0.01)
            spoken.append(text)
            yield text, np.zeros(1000, np.int16)

    async def test(shared: Shared, uri: str) -> None:
        shared.engine.stream = speak
        long = asyncio.create_task(ask(uri, Synthesize("long").event(), "audio-stop"))
        await asyncio.sleep(0.05)
        await ask(uri, Synthesize("short").event(), "audio-stop")
        await long

    served(test, tmp_path)
    assert len(spoken) == 101
    assert spoken[-1] == "long"


def test_a_flood_of_events_does_not_delay_the_others(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async def flood(writer: asyncio.StreamWriter) -> None:
            while True:
                writer.write(b'{"type": "x", "payload_length": 5}\nabcde' * 1000)
                await writer.drain()

        async with connected(uri) as (_, writer):
            flooding = asyncio.create_task(flood(writer))
            for _ in range(5):
                await ask(uri, Transcript("a fox").event(), "handled-stop")
            assert not flooding.done()
            flooding.cancel()

    served(test, tmp_path)


def test_a_thousand_connections_leave_nothing_behind(tmp_path: Path) -> None:
    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    async def test(shared: Shared, uri: str) -> None:
        await ask(uri, Transcript("a fox").event(), "handled-stop")  # makes threads
        tasks, before = len(asyncio.all_tasks()), held()
        for sent in (b"", DESCRIBE, b"{", b"no JSON\n") * 250:
            async with connected(uri) as (_, writer):
                writer.write(sent)
        await ask(uri, Describe().event(), "info")
        while (len(asyncio.all_tasks()), held()) != (tasks, before):
            await asyncio.sleep(0.05)  # the test's own time limit is the only one

    served(test, tmp_path)


ODD = [
    b"no JSON\n",
    b"[]\n",
    b'{"type": 5, "data_length": "many"}\n',
    b'{"type": "transcript", "data_length": 999999999}\n',
    b'{"type": "x", "payload_length": 4294967296}\n' + b"\xff" * 100,
    b'{"type": "x", "payload_length": -5}\n' + b"\xff" * 100 + b"\n",
    b"x" * 100_000 + b"\n",
    b'{"type":"x","data":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n",
    b'{"type": "transcript", "data_length": 50}\n{"text"',
    b'{"data": {}}\n',
    b'{"type": ["transcript"]}\n',
    b'{"type": "x", "data": 7}\n',
    b'{"type": "transcript", "data": {}}\n',
    b'{"type": "transcript", "data_length": 2}\n[]',
    b'{"type": "transcript", "data_length": 100000}\n' + b"[" * 100_000,
    *(
        f'{{"type": "{kind}", "data": {{"text": {text}}}}}\n'.encode()
        for kind in ("transcript", "synthesize")
        for text in ("null", "5", "true", '["a", "b"]', "{}", "NaN", "1e999")
    ),
    b'{"type": "transcript", "data": {"text": "a fox", "context": 5}}\n',
    b'{"type": "transcript", "data": {"text": "a fox", "context": ["id"]}}\n',
]


@pytest.mark.parametrize("sent", ODD)
def test_an_odd_event_is_answered_and_logged_in_one_line(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with connected(uri) as (reader, writer):
            writer.write(sent)
            writer.write_eof()
            (event,) = await answers(reader)
            expected = "not-handled" if b'"transcript", "data' in sent else "error"
            assert event.type in (expected, "error")
            assert event.data["text"].startswith("This service was sent ")
        await ask(uri, Transcript("a fox").event(), "handled-stop")

    served(test, tmp_path)
    (line,) = warnings(caplog)
    assert line.startswith("The Wyoming client at the socket sent ")
    assert "\n" not in line


@pytest.mark.parametrize(
    "data",
    [
        {"text": "fox \ud800 ran"},
        {"text": "fox", "context": {"id": "\ud800"}},
        {"text": "fox\0\a\x1b[31m"},
        {"text": "fox", "language": 5},
        {"text": "fox", "language": " ", "voice": None},
        {"text": "fox", "voice": "en", "text_format": []},
        {"text": "fox", "voice": [{}], "context": None},
        {"text": "fox", "context": {"id": 10**1000}},
    ],
)
def test_odd_data_that_can_be_answered_is(
    data: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        for kind, last in (("transcript", "handled-stop"), ("synthesize", "audio-stop")):
            raw = json.dumps({"type": kind, "data": data}).encode()
            async with connected(uri) as (reader, writer):
                writer.write(raw + b"\n" + DESCRIBE)
                writer.write_eof()
                events = await answers(reader)
                assert [event.type for event in events][-2:] == [last, "info"]

    served(test, tmp_path)
    assert warnings(caplog) == []


def test_warnings_about_peers_are_few(caplog: pytest.LogCaptureFixture) -> None:
    warn = LimitedWarnings(3)
    for number in range(100):
        warn(f"fault {number}")
    assert [r.getMessage() for r in caplog.records] == [
        "fault 0",
        "fault 1",
        "fault 2",
        "More warnings about Wyoming clients are left out for a minute.",
    ]


def test_a_context_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        context = {"conversation_id": "7", "nested": [{"a": None}], "é": 1.5}
        async with connected(uri) as (reader, writer):
            await async_write_event(Transcript("a fox", context).event(), writer)
            start = await async_read_event(reader)
            assert start == Event("handled-start", {"context": context})

    served(test, tmp_path)


def test_a_tcp_peer_is_named_kept_alive_and_told_before_it_is_disconnected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        connections = Connections(shared)
        server = await listen(("127.0.0.1", 0), connections.accept)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            host, port = writer.get_extra_info("sockname")
            writer.write(DESCRIBE)
            assert await async_read_event(reader)
            (connection,) = connections._open.values()
            accepted = connection._writer.get_extra_info("socket")
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            writer.write(b"x" * 100_000)  # more than is read before the error
            writer.write(b"x" * 100_000)
            event = await async_read_event(reader)
            assert event.data["text"] == "This service was sent a line of more than 64 KiB."
            assert await reader.read() == b""
            writer.close()
            await connections.close()
        assert f"The Wyoming client {host}:{port} sent a line" in caplog.text

    served(test, tmp_path)
