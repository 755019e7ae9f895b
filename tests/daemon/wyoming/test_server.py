import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize

from config.errors import ConfigError, DeviceError, GenerationError, RefusedError
from config.load import load
from daemon.wyoming.server import CLIENTS, Shared, _serve, check_uri, describe
from tests.support.program import ROOT, afterword

SENTENCES = ["was old.", "He smiled.", "The end."]


@dataclass
class FakeGenerator:
    """Says three sentences; counts how many speak through it at a time."""

    seeds: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.seeds.append(seed)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        for sentence in SENTENCES:
            time.sleep(0.01)
            if seed == "fail":
                self.at_once -= 1
                raise GenerationError("Its weights are bad.")
            if seed == "gpu":
                raise DeviceError("The GPU failed.")
            yield sentence
        self.at_once -= 1


class FakeEngine:
    rate = 22050

    def synthesize(self, text: str) -> np.ndarray:
        return np.arange(len(text) * 1000, dtype=np.int16)


def served(test: Callable[[Shared, str], Awaitable[None]], tmp_path: Path) -> None:
    """Run a test against a server at a socket."""
    path = tmp_path / "w.sock"

    async def run() -> None:
        info = describe(load(environment={}).settings)
        shared = Shared(FakeGenerator(), FakeEngine(), info, FakeGenerator)
        ready = asyncio.Event()
        serving = asyncio.create_task(_serve(path, shared, lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():  # refused: nobody would take the signal but this process
            waiting.cancel()
            serving.result()
            return
        try:
            await asyncio.wait_for(test(shared, f"unix://{path}"), 60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(serving, 10)
        assert not path.exists()

    asyncio.run(run())


async def ask(uri: str, event: Event, last: str) -> list[Event]:
    """All events that answer one, up to the one of this type."""
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(event)
        events = []
        while not events or events[-1].type != last:
            answer = await client.read_event()
            assert answer, f"the server left after {[e.type for e in events]}"
            events.append(answer)
        return events


def test_it_tells_what_it_can_do(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Describe().event(), "info")
        info = Info.from_event(event)
        assert [p.name for p in info.handle] == ["afterword"]
        assert info.handle[0].models[0].languages == ["en"]
        assert info.handle[0].supports_handled_streaming
        assert [v.name for v in info.tts[0].voices] == ["en-us"]
        assert info.asr == []

    served(test, tmp_path)


def test_a_text_is_continued_sentence_by_sentence(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = Transcript("the old sailor", context={"id": 7})
        events = await ask(uri, asked.event(), "handled-stop")
        assert HandledStart.is_type(events[0].type)
        chunks = [HandledChunk.from_event(e).text for e in events[1:-2]]
        assert chunks == ["was old.", " He smiled.", " The end."]
        handled = Handled.from_event(events[-2])
        assert handled == Handled("was old. He smiled. The end.", {"id": 7})
        assert HandledStop.is_type(events[-1].type)
        assert isinstance(shared.generator, FakeGenerator)
        assert shared.generator.seeds == ["the old sailor"]

    served(test, tmp_path)


def test_a_text_is_spoken(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        events = await ask(uri, Synthesize("A fox.").event(), "audio-stop")
        assert AudioStart.from_event(events[0]) == AudioStart(22050, 2, 1)
        chunks = [AudioChunk.from_event(e) for e in events[1:-1]]
        assert b"".join(c.audio for c in chunks) == FakeEngine().synthesize("A fox.").tobytes()
        assert {(c.rate, c.width, c.channels) for c in chunks} == {(22050, 2, 1)}
        assert AudioStop.is_type(events[-1].type)

    served(test, tmp_path)


def test_clients_are_served_one_after_another(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        asked = [ask(uri, Transcript(f"fox {n}").event(), "handled-stop") for n in range(8)]
        spoken = [ask(uri, Synthesize("A fox.").event(), "audio-stop") for _ in range(4)]
        answers = await asyncio.gather(*asked, *spoken)
        assert all(Handled.from_event(a[-2]).text for a in answers[:8])
        assert isinstance(shared.generator, FakeGenerator)
        assert shared.generator.most_at_once == 1
        assert sorted(shared.generator.seeds) == [f"fox {n}" for n in range(8)]

    served(test, tmp_path)


@pytest.mark.parametrize("seed", ["", " … ", "x" * 2001, "fail"])
def test_what_cannot_be_continued_is_told(seed: str, tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        events = await ask(uri, Transcript(seed).event(), "not-handled")
        told = NotHandled.from_event(events[-1]).text
        assert told in ("A seed has a word, and at most 2000 characters.", "Its weights are bad.")
        await ask(uri, Transcript("a fox").event(), "handled-stop")  # others are still served

    served(test, tmp_path)


def test_too_long_a_text_is_not_spoken(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        (event,) = await ask(uri, Synthesize("x" * 10_001).event(), "error")
        assert Error.from_event(event).code == "too-long"

    served(test, tmp_path)


@pytest.mark.parametrize(
    "sent",
    [
        b"no JSON\n",
        b"[]\n",
        b'{"data": {}}\n',
        b'{"type": 5, "data_length": "many"}\n',
        b'{"type": "transcript", "data_length": 2}\n[]',
        b'{"type": "transcript", "data": {}}\n',
        b'{"type": "transcript", "data": {"text": 5}}\n',
        b'{"type": "transcript", "data_length": 999999999}\n',
        b'{"type": "x", "payload_length": 1000000000000}\n',
        b'{"type": "x", "payload_length": -5}\n' + b"\xff" * 100 + b"\n",
        b"x" * 100_000 + b"\n",
        b'{"type": "transcript", "data_length": 50}\n{"text"',
    ],
)
def test_nonsense_ends_its_own_connection_only(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(shared: Shared, uri: str) -> None:
        reader, writer = await asyncio.open_unix_connection(uri.removeprefix("unix://"))
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await ask(uri, Transcript("a fox").event(), "handled-stop")

    served(test, tmp_path)
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


def test_messages_of_other_services_are_passed_over(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Event("audio-chunk", {"rate": 1}, b"\0" * 1000))
            await client.write_event(Describe().event())
            answer = await client.read_event()
            assert answer is not None
            assert answer.type == "info"

    served(test, tmp_path)


def test_only_so_many_may_connect(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        clients = [AsyncClient.from_uri(uri) for _ in range(CLIENTS + 1)]
        for client in clients:
            await client.connect()
            await client.write_event(Describe().event())
        answers = [await client.read_event() for client in clients]
        assert [a is not None for a in answers] == [True] * CLIENTS + [False]
        for client in clients:
            await client.disconnect()
        await ask(uri, Transcript("a fox").event(), "handled-stop")

    served(test, tmp_path)


def test_a_peer_that_leaves_does_not_hold_up_the_next(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(Transcript("first").event())
            await client.read_event()
        await ask(uri, Transcript("second").event(), "handled-stop")

    served(test, tmp_path)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("tcp://127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("tcp://localhost", ("localhost", 10300)),
        ("tcp://[::1]:7", ("::1", 7)),
        ("unix:///run/a.sock", Path("/run/a.sock")),
    ],
)
def test_places_of_this_machine(uri: str, place: object) -> None:
    assert check_uri(uri, exposed=False) == place


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "[::]", "example.org"])  # noqa: S104
def test_other_machines_come_in_only_where_that_is_wanted(host: str) -> None:
    with pytest.raises(RefusedError, match="without a password; add --expose"):
        check_uri(f"tcp://{host}:10300", exposed=False)
    assert check_uri(f"tcp://{host}:10300", exposed=True)


@pytest.mark.parametrize(
    "uri",
    ["", "10300", "http://localhost", "tcp://:5", "tcp://localhost:x", "unix://a/b", "stdio:"],
)
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="--uri"):
        check_uri(uri, exposed=False)


def test_files_and_live_sockets_are_left_alone(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        path = Path(uri.removeprefix("unix://"))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(RefusedError, match="Another program serves"):
            await _serve(path, shared, str)
        await ask(uri, Describe().event(), "info")

    served(test, tmp_path)
    file = tmp_path / "w.sock"
    file.write_text("mine")
    with pytest.raises(RefusedError, match="is no socket"):
        served(test, tmp_path)
    assert file.read_text() == "mine"
    file.unlink()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(file))
    dead.close()
    served(test, tmp_path)  # it is replaced


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "daemon", "wyoming", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_conversation_with_the_real_program() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async def talk() -> None:
        uri = f"tcp://127.0.0.1:{port}"
        events = await ask(uri, Transcript("the old sailor").event(), "handled-stop")
        text = Handled.from_event(events[-2]).text
        assert text
        assert len(re.findall(r"\w+", text)) > 5
        spoken = await ask(uri, Synthesize(text).event(), "audio-stop")
        sound = b"".join(AudioChunk.from_event(e).audio for e in spoken[1:-1])
        samples = np.frombuffer(sound, np.int16)
        assert len(samples) > 22050  # over a second
        assert np.abs(samples).max() > 3000

    with program("--uri", f"tcp://127.0.0.1:{port}") as process:
        assert process.stderr is not None
        assert f"tcp://127.0.0.1:{port}" in process.stderr.readline()
        asyncio.run(talk())
        process.terminate()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""


def test_an_open_door_is_refused_by_the_program() -> None:
    done = afterword("wyoming", "--uri", "tcp://0.0.0.0:10300")
    assert (done.code, done.out) == (77, "")
    assert "--expose" in done.err


def test_after_a_device_error_the_next_text_is_continued_on_the_cpu(tmp_path: Path) -> None:
    async def test(shared: Shared, uri: str) -> None:
        on_gpu = shared.generator
        *_, answer, _ = await ask(uri, Transcript("gpu").event(), "handled-stop")
        assert (answer.type, answer.data["text"]) == ("not-handled", "The GPU failed.")
        assert shared.generator is not on_gpu
        *_, answer, _ = await ask(uri, Transcript("the fox").event(), "handled-stop")
        assert answer.data["text"] == " ".join(SENTENCES)

    served(test, tmp_path)
