"""The Wyoming server: continues texts (handle) and speaks them (tts), e.g. for Home Assistant.

The protocol, https://github.com/OHF-Voice/wyoming, has no passwords: every peer that can connect
is served. One text is continued and one is spoken at a time; other requests wait.
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

from config.errors import AfterwordError, ConfigError, DeviceError, RefusedError
from config.languages import sentence_gap
from config.settings import Settings
from daemon.control.protocol import SEED_CHARACTERS
from daemon.ports import Generator
from daemon.systemd.notify import Notifier

log = logging.getLogger(__name__)

DEFAULT_PORT = 10300
CLIENTS = 16
_TEXT_CHARACTERS = 10_000  # ten minutes of speech
_MESSAGE_BYTES = 256 * 1024  # of data or payload in one message
_CHUNK_SAMPLES = 2048
_SAMPLE_BYTES = 2


class TtsEngine(Protocol):
    """Text to speech, as the server needs it."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    def synthesize(self, text: str) -> npt.NDArray[np.int16]:
        """Synthesise the text: samples, shape (n,)."""


@dataclass
class Shared:
    """Generator and engine, shared by all clients; each serves one client at a time.

    Attributes:
        load_on_cpu: loads the generator on the CPU, after the device of the model has failed.
    """

    generator: Generator
    engine: TtsEngine
    info: Info
    load_on_cpu: Callable[[], Generator]
    generating: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    clients: int = 0


def describe(settings: Settings) -> Info:
    """The services that the server offers, for the message `info`."""
    version = importlib.metadata.version("afterword")
    afterword = Attribution("Afterword", "")
    languages: list[str] = [settings.language]
    model = HandleModel(
        f"afterword-{settings.language}", afterword, True, "continues a text", version, languages
    )
    program = HandleProgram(
        "afterword", afterword, True, "carries on what is said", version, [model], True
    )
    espeak = Attribution("espeak-ng", "https://github.com/espeak-ng/espeak-ng")
    voice = TtsVoice(settings.voice.name, espeak, True, "a voice of espeak-ng", None, languages)
    speaker = TtsProgram("afterword", afterword, True, "the voice of Afterword", version, [voice])
    return Info(handle=[program], tts=[speaker])


class _BoundedReader:
    """A stream that refuses oversized messages, which the library would read into memory."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        return await self._reader.readline()  # limited to 64 KiB by asyncio

    async def readexactly(self, count: int) -> bytes:
        if not 0 <= count <= _MESSAGE_BYTES:
            raise ValueError(f"a message of {count} bytes")
        return await self._reader.readexactly(count)


class Client(AsyncEventHandler):
    """One connection; each message is answered, and an invalid one ends it."""

    def __init__(
        self, shared: Shared, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._shared = shared

    async def run(self) -> None:
        """Serve until the peer leaves or sends an invalid message."""
        shared = self._shared
        shared.clients += 1
        try:
            bounded = cast(asyncio.StreamReader, _BoundedReader(self.reader))
            while shared.clients <= CLIENTS and (event := await async_read_event(bounded)):
                if not await self.handle_event(event):
                    break
        except (AttributeError, KeyError, TypeError, EOFError) as error:
            log.debug("invalid message from a Wyoming client: %s", type(error).__name__)
        except OSError:
            log.debug("a Wyoming client has disconnected")
        finally:
            shared.clients -= 1
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Answer one message; those of other services are ignored."""
        if Describe.is_type(event.type):
            await self.write_event(self._shared.info.event())
        elif Transcript.is_type(event.type):
            await self._continue_text(Transcript.from_event(event))
        elif Synthesize.is_type(event.type):
            await self._synthesize(Synthesize.from_event(event))
        return True

    async def _continue_text(self, request: Transcript) -> None:
        """Stream the continuation, a chunk per sentence, then the whole of it."""
        seed = request.text.strip()
        if not any(map(str.isalnum, seed)) or len(seed) > SEED_CHARACTERS:
            message = f"A seed has a word, and at most {SEED_CHARACTERS} characters."
            await self.write_event(NotHandled(message, request.context).event())
            return
        text = ""
        try:
            async with self._shared.generating:
                await self.write_event(HandledStart(request.context).event())
                cancelled = threading.Event()
                sentences = self._shared.generator.continue_text(seed, cancelled.is_set)
                try:
                    while sentence := await asyncio.to_thread(next, sentences, ""):
                        chunk = sentence_gap(text, sentence) + sentence
                        text += chunk
                        await self.write_event(HandledChunk(chunk).event())
                except DeviceError as error:
                    log.warning("%s The model is computed on the CPU.", error)
                    self._shared.generator = await asyncio.to_thread(self._shared.load_on_cpu)
                    raise
                finally:
                    cancelled.set()
        except AfterwordError as error:
            await self.write_event(NotHandled(str(error), request.context).event())
        else:
            await self.write_event(Handled(text, request.context).event())
        await self.write_event(HandledStop().event())

    async def _synthesize(self, request: Synthesize) -> None:
        if len(request.text) > _TEXT_CHARACTERS:
            message = f"A text to speak has at most {_TEXT_CHARACTERS} characters."
            await self.write_event(Error(message, "too-long").event())
            return
        engine = self._shared.engine
        try:
            async with self._shared.speaking:
                samples = await asyncio.to_thread(engine.synthesize, request.text)
        except AfterwordError as error:
            await self.write_event(Error(str(error), type(error).__name__).event())
            return
        await self.write_event(AudioStart(engine.rate, _SAMPLE_BYTES, 1).event())
        for chunk in _chunks(samples):
            await self.write_event(AudioChunk(engine.rate, _SAMPLE_BYTES, 1, chunk).event())
        await self.write_event(AudioStop().event())


def _chunks(samples: npt.NDArray[np.int16]) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()


def check_uri(uri: str, *, exposed: bool) -> tuple[str, int] | Path:
    """The address to listen at: host and port, or the path of a socket.

    Raises:
        ConfigError: the URI is not an address.
        RefusedError: other machines could connect, and `exposed` is False.
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


def serve(address: tuple[str, int] | Path, shared: Shared, echo: Callable[[str], object]) -> None:
    """Serve clients until SIGINT or SIGTERM.

    Raises:
        RefusedError: the address cannot be listened at.
    """
    asyncio.run(_serve(address, shared, echo))


async def _serve(
    address: tuple[str, int] | Path, shared: Shared, echo: Callable[[str], object]
) -> None:
    server = await _listen(address, lambda reader, writer: Client(shared, reader, writer))
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    notifier = Notifier()
    shown = f"unix://{address}" if isinstance(address, Path) else f"tcp://{address[0]}:{address[1]}"
    echo(f"Wyoming peers are served at {shown}.")
    notifier.ready()
    try:
        await stopping.wait()
    finally:
        notifier.stopping()
        await server.stop()


async def _listen(
    address: tuple[str, int] | Path,
    factory: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Client],
) -> AsyncServer:
    try:
        if isinstance(address, Path):
            _check_free(address)
            before = os.umask(0o177)  # private from its first moment
            try:
                server: AsyncServer = AsyncUnixServer(address)
                await server.start(factory)
            finally:
                os.umask(before)
        else:
            server = AsyncTcpServer(*address)
            await server.start(factory)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RefusedError(f"Afterword cannot listen at {address}: {reason}.") from error
    return server


def _check_free(path: Path) -> None:
    """Refuse a path that holds a file or a live socket; the library would replace anything."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise RefusedError(f"{path} exists and is no socket; name another one with --uri.")
        with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            raise RefusedError(f"Another program serves at {path}; name another one with --uri.")
