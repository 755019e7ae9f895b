"""A server with a fake generator and a fake engine, and the library's client."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from wyoming.client import AsyncClient
from wyoming.event import Event, async_read_event

from audio.commands import commands_in_text
from audio.tts.voices import Voice
from config.errors import DeviceError, GenerationError
from config.settings import Settings
from daemon.wyoming.events import Limits
from daemon.wyoming.server import _serve
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.shared import Shared
from daemon.wyoming.services.voices import OfferedVoices

DEFAULT_LIMITS = Limits()
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
COMMANDS = {
    "stop": ["stop"],
    "go on": ["go on", "tell me more"],
    "again": ["again"],
    "never mind": ["never mind"],
}
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


@dataclass
class FakeTranscription:
    """Hears the word "sound", once for each half of a second; `told` counts them."""

    samples: int = 0
    told: int = 0

    def accept(self, pcm: bytes) -> str:
        self.samples += len(pcm) // 2
        words = self.samples // 8000 - self.told
        text = " ".join(["sound"] * words)
        text = f" {text}" if self.told and text else text
        self.told += words
        return text

    def finish(self) -> tuple[str, str]:
        return "", " ".join(["sound"] * self.told)


@dataclass
class FakeTranscriber:
    """Counts the sounds."""

    begun: list[FakeTranscription] = field(default_factory=list)

    def begin(self) -> FakeTranscription:
        self.begun.append(FakeTranscription())
        return self.begun[-1]


@dataclass
class FakeSpotting:
    """Spots "hey computer" wherever a sample is 1."""

    heard: list[bytes] = field(default_factory=list)

    def accept(self, pcm: bytes) -> list[str]:
        self.heard.append(pcm)
        return ["hey computer"] if 1 in np.frombuffer(pcm, np.int16) else []

    def finish(self) -> list[str]:
        return []


@dataclass
class FakeSpotter:
    """Counts the sounds."""

    begun: list[FakeSpotting] = field(default_factory=list)

    def begin(self) -> FakeSpotting:
        self.begun.append(FakeSpotting())
        return self.begun[-1]


class FakeEngine:
    """Speaks in two pieces."""

    is_closed = False

    def synthesize(self, text: str) -> np.ndarray:
        return np.arange(len(text) * 1000, dtype=np.int16)

    def stream(self, text: str) -> Iterator[tuple[str, np.ndarray]]:
        samples = self.synthesize(text)
        if text:
            yield text, samples[:999]
            yield "", samples[999:]

    def close(self) -> None:
        self.is_closed = True


OFFER = Offer(
    {"en": commands_in_text(COMMANDS)},
    OfferedVoices({"en": "hibari"}, (Voice("hibari", "Heart", "en-us", "hibari"),)),
)


@dataclass
class FakeSource:
    """Makes a new fake for each part, and counts them."""

    settings: Mapping[str, Settings]
    offered: Offer = OFFER
    written: int = 1  # stands for the time of the weights file
    made: list[str] = field(default_factory=list)
    engines: list[FakeEngine] = field(default_factory=list)

    def offer(self) -> Offer:
        return self.offered

    def load_generator(self, language: str, device: str | None) -> FakeGenerator:
        self.made.append(f"generator {language}")
        return FakeGenerator()

    def open_engine(self, voice: str) -> FakeEngine:
        self.made.append(f"engine {voice}")
        self.engines.append(FakeEngine())
        return self.engines[-1]

    def open_transcriber(self, language: str) -> FakeTranscriber:
        self.made.append(f"transcriber {language}")
        return FakeTranscriber()

    def open_spotter(self, language: str) -> FakeSpotter:
        self.made.append(f"spotter {language}")
        return FakeSpotter()

    def weights(self) -> dict[str, list[str]]:
        return {"en": ["starter"]}

    def stamps(self, language: str) -> tuple[object, ...]:
        return (self.written or None, None)


def fake_shared(limits: Limits = DEFAULT_LIMITS, offer: Offer = OFFER) -> Shared:
    """A fake generator for each language; one fake engine, the attribute `engine`, for all."""
    source = FakeSource({}, offer)
    engine = FakeEngine()
    shared = Shared(offer, source, Engines(lambda _: engine), limits)
    shared.engine = engine
    shared.generators["en"] = FakeGenerator()
    return shared


def served(
    test: Callable[[Shared, str], Awaitable[None]],
    tmp_path: Path,
    limits: Limits = DEFAULT_LIMITS,
    offer: Offer = OFFER,
    seconds: float = 60,
) -> None:
    """Run a test against a server at a socket."""
    path = tmp_path / "w.sock"

    async def run() -> None:
        shared = fake_shared(limits, offer)
        ready = asyncio.Event()
        serving = asyncio.create_task(_serve(path, shared, lambda _: ready.set()))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():  # refused: nobody would take the signal but this process
            waiting.cancel()
            serving.result()
            return
        try:
            await asyncio.wait_for(test(shared, f"unix://{path}"), seconds)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(serving, 10)
        assert not path.exists()

    asyncio.run(run())


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[Streams]:
    """A plain connection to the server."""
    reader, writer = await asyncio.open_unix_connection(uri.removeprefix("unix://"))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answers(reader: asyncio.StreamReader) -> list[Event]:
    """All that the server says until it closes the connection."""
    events = []
    with suppress(ConnectionError):  # closed, with words of ours unread
        while event := await async_read_event(reader):
            events.append(event)
    return events


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings in the log; there must be no error, and no traceback."""
    records = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert all(r.levelno == logging.WARNING and not r.exc_info for r in records), caplog.text
    return [r.getMessage() for r in records]
