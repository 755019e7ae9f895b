"""Afterword for Wyoming peers, such as Home Assistant: texts continued (handle) and spoken (tts).

https://github.com/OHF-Voice/wyoming. One text is continued and one is spoken at a time; others
wait. Whoever can connect can use it: the protocol knows no passwords.
"""

import asyncio
import contextlib
import importlib.metadata
import ipaddress
import logging
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import (
    Attribution,
    Describe,
    HandleModel,
    HandleProgram,
    Info,
    TtsProgram,
    TtsVoice,
)
from wyoming.server import AsyncEventHandler, AsyncServer, AsyncTcpServer, AsyncUnixServer
from wyoming.tts import Synthesize

from config.errors import AfterwordError, ConfigError, RefusedError
from config.settings import Settings
from daemon.control.protocol import SEED_CHARACTERS
from daemon.ports import Generator
from daemon.systemd.notify import Notifier

log = logging.getLogger(__name__)

DEFAULT_PORT = 10300
CLIENTS = 16
_SPOKEN_CHARACTERS = 10_000  # ten minutes of speech
_LARGEST_PART = 256 * 1024  # bytes of data or payload in one message
_CHUNK_SAMPLES = 2048
_WIDTH = 2  # bytes of a sample


class TtsEngine(Protocol):
    """Text to samples."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    def synthesize(self, text: str) -> npt.NDArray[np.int16]:
        """The spoken text."""


@dataclass
class House:
    """What all clients share; each part serves one of them at a time."""

    generator: Generator
    engine: TtsEngine
    info: Info
    thinking: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    clients: int = 0


def describe(settings: Settings) -> Info:
    """What a client is told that we can do."""
    version = importlib.metadata.version("afterword")
    us = Attribution("Afterword", "")
    languages: list[str] = [settings.language]
    model = HandleModel(
        f"afterword-{settings.language}", us, True, "continues a text", version, languages
    )
    program = HandleProgram(
        "afterword", us, True, "carries on what is said", version, [model], True
    )
    espeak = Attribution("espeak-ng", "https://github.com/espeak-ng/espeak-ng")
    voice = TtsVoice(settings.voice.name, espeak, True, "a voice of espeak-ng", None, languages)
    speaker = TtsProgram("afterword", us, True, "the voice of Afterword", version, [voice])
    return Info(handle=[program], tts=[speaker])


class _BoundedReader:
    """A stream that refuses messages larger than any of ours; the library would read them all."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        return await self._reader.readline()  # has a limit of its own, 64 KiB

    async def readexactly(self, count: int) -> bytes:
        if not 0 <= count <= _LARGEST_PART:
            raise ValueError(f"a message of {count} bytes")
        return await self._reader.readexactly(count)


class Client(AsyncEventHandler):
    """One connection; every message is answered, bad ones end it."""

    def __init__(
        self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._house = house

    async def run(self) -> None:
        """Serve until the peer leaves or makes no sense."""
        house = self._house
        house.clients += 1
        try:
            bounded = cast(asyncio.StreamReader, _BoundedReader(self.reader))
            while house.clients <= CLIENTS and (event := await async_read_event(bounded)):
                if not await self.handle_event(event):
                    break
        except (AttributeError, KeyError, TypeError, EOFError) as error:
            log.debug("a Wyoming client sent no sense: %s", type(error).__name__)
        except OSError:
            log.debug("a Wyoming client has left")
        finally:
            house.clients -= 1
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Answer one message; those of other services are passed over."""
        if Describe.is_type(event.type):
            await self.write_event(self._house.info.event())
        elif Transcript.is_type(event.type):
            await self._continue(Transcript.from_event(event))
        elif Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event))
        return True

    async def _continue(self, asked: Transcript) -> None:
        """Stream the continuation, a chunk for each sentence, and all of it at the end."""
        seed = asked.text.strip()
        if not any(map(str.isalnum, seed)) or len(seed) > SEED_CHARACTERS:
            told = f"A seed has a word, and at most {SEED_CHARACTERS} characters."
            await self.write_event(NotHandled(told, asked.context).event())
            return
        said: list[str] = []
        try:
            async with self._house.thinking:
                await self.write_event(HandledStart(asked.context).event())
                cancelled = threading.Event()
                sentences = self._house.generator.continue_text(seed, cancelled.is_set)
                try:
                    while sentence := await asyncio.to_thread(next, sentences, ""):
                        said.append(_spaced(sentence, first=not said))
                        await self.write_event(HandledChunk(said[-1]).event())
                finally:
                    cancelled.set()
        except AfterwordError as error:
            await self.write_event(NotHandled(str(error), asked.context).event())
        else:
            await self.write_event(Handled("".join(said), asked.context).event())
        await self.write_event(HandledStop().event())

    async def _speak(self, asked: Synthesize) -> None:
        if len(asked.text) > _SPOKEN_CHARACTERS:
            told = f"A text to speak has at most {_SPOKEN_CHARACTERS} characters."
            await self.write_event(Error(told, "too-long").event())
            return
        engine = self._house.engine
        try:
            async with self._house.speaking:
                samples = await asyncio.to_thread(engine.synthesize, asked.text)
        except AfterwordError as error:
            await self.write_event(Error(str(error), type(error).__name__).event())
            return
        await self.write_event(AudioStart(engine.rate, _WIDTH, 1).event())
        for part in _parts(samples):
            await self.write_event(AudioChunk(engine.rate, _WIDTH, 1, part).event())
        await self.write_event(AudioStop().event())


def _spaced(sentence: str, *, first: bool) -> str:
    """A sentence with the space before it, which Chinese does not have."""
    return sentence if first or not sentence[0].isascii() else f" {sentence}"


def _parts(samples: npt.NDArray[np.int16]) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()


def check_uri(uri: str, *, exposed: bool) -> tuple[str, int] | Path:
    """Where to listen: host and port, or the path of a socket.

    Raises:
        ConfigError: it is no such place.
        RefusedError: other machines could connect, and nobody has said that they may.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ConfigError(f"--uri {uri} is no address: {error}.") from error
    if parts.scheme == "unix" and parts.path and not parts.netloc:
        return Path(parts.path)
    if parts.scheme != "tcp" or not host or parts.path not in ("", "/"):
        raise ConfigError(f"--uri {uri} should be tcp://HOST:PORT or unix:///PATH.")
    if not exposed and not _is_loopback(host):
        raise RefusedError(
            f"At {host} other machines could use Afterword, without a password; add --expose if "
            "they may, else listen at tcp://127.0.0.1."
        )
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(place: tuple[str, int] | Path, house: House, tell: Callable[[str], object]) -> None:
    """Serve clients until SIGINT or SIGTERM.

    Raises:
        RefusedError: we cannot listen there.
    """
    asyncio.run(_serve(place, house, tell))


async def _serve(
    place: tuple[str, int] | Path, house: House, tell: Callable[[str], object]
) -> None:
    server = await _listen(place, lambda reader, writer: Client(house, reader, writer))
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    notifier = Notifier()
    shown = f"unix://{place}" if isinstance(place, Path) else f"tcp://{place[0]}:{place[1]}"
    tell(f"Wyoming peers are served at {shown}.")
    notifier.ready()
    try:
        await stopping.wait()
    finally:
        notifier.stopping()
        await server.stop()


async def _listen(
    place: tuple[str, int] | Path,
    factory: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Client],
) -> AsyncServer:
    try:
        if isinstance(place, Path):
            _make_way(place)
            before = os.umask(0o177)  # for us alone
            try:
                server: AsyncServer = AsyncUnixServer(place)
                await server.start(factory)
            finally:
                os.umask(before)
        else:
            server = AsyncTcpServer(*place)
            await server.start(factory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RefusedError(f"Afterword cannot listen at {place}: {reason}.") from error
    return server


def _make_way(path: Path) -> None:
    """Refuse a place where something lies that is not a dead socket; the library removes all."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise RefusedError(f"{path} exists and is no socket; name another one with --uri.")
        with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            raise RefusedError(f"Another program serves at {path}; name another one with --uri.")
