"""One connection: its peer's events are answered one after another."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from wyoming.asr import Transcript
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import NotHandled
from wyoming.info import Describe
from wyoming.tts import Synthesize

from daemon.wyoming.events import DisconnectedError, InvalidEventError, read_event, write_event
from daemon.wyoming.services import Shared, continue_text, synthesize

log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 2.0  # for the peer to read the last error and to close its side
_FAREWELL_BYTES = 64 * 1024  # read at a time, and thrown away


class Connection:
    """Reads, answers and writes the events of one peer.

    Attributes:
        peer: the peer's address, for the log.
        last_active: when the last event was read or taken, in seconds of time.monotonic.
        has_request: True while a text is continued or spoken for the peer, or waits for it.
    """

    def __init__(
        self,
        shared: Shared,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        warn: Callable[[str], None],
    ) -> None:
        """`warn` logs a fault of the peer."""
        self._shared = shared
        self._reader = reader
        self._writer = writer
        self._warn = warn
        self.peer = _peer(writer)
        self.last_active = time.monotonic()
        self.has_request = False

    async def serve(self) -> None:
        """Answer events until the peer leaves, is silent for too long, or breaks the protocol."""
        try:
            await self._answer_all()
            await self._flush()
        except DisconnectedError as error:
            if str(error):
                self._warn(f"The Wyoming client {self.peer} {error}: disconnected.")
        except Exception:  # a bug must not end the server
            log.exception("The connection of the Wyoming client %s failed.", self.peer)
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def _answer_all(self) -> None:
        limits = self._shared.limits
        idle_seconds = limits.event_seconds
        while True:
            try:
                event = await read_event(self._reader, idle_seconds, limits)
                if event is None:
                    return
                self.last_active = time.monotonic()
                await self._answer(event)
                idle_seconds = limits.idle_seconds
            except InvalidEventError as fault:
                self._warn(f"The Wyoming client {self.peer} sent {fault}.")
                await self._refuse(fault.type, f"This service was sent {fault}.", "invalid")
                if not fault.is_read:
                    await self._say_farewell()
                    return
                idle_seconds = limits.event_seconds
            await asyncio.sleep(0)  # the turn of others, also when a peer floods

    async def _answer(self, event: Event) -> None:
        """Answer one event; those of other services are ignored."""
        if Describe.is_type(event.type):
            await self._write(self._shared.info.event())
        elif Transcript.is_type(event.type) or Synthesize.is_type(event.type):
            await self._serve_request(event)

    async def _serve_request(self, event: Event) -> None:
        shared = self._shared
        if shared.requests >= shared.limits.requests:
            message = f"Afterword is busy with {shared.requests} other texts; try again later."
            self._warn(f"The Wyoming client {self.peer} was refused. {message}")
            await self._refuse(event.type, message, "busy")
            return
        serve = continue_text if Transcript.is_type(event.type) else synthesize
        shared.requests += 1
        self.has_request = True
        try:
            await serve(shared, event, self._write)
        finally:
            self.has_request = False
            shared.requests -= 1

    async def _refuse(self, type: str, message: str, code: str) -> None:
        if Transcript.is_type(type):
            await self._write(NotHandled(message).event())
        else:
            await self._write(Error(message, code).event())

    async def _write(self, event: Event) -> None:
        await write_event(event, self._writer, self._shared.limits)
        self.last_active = time.monotonic()

    async def _flush(self) -> None:
        """Close the connection when the peer has taken all that was written."""
        with contextlib.suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(self._shared.limits.write_seconds):
                self._writer.close()
                await self._writer.wait_closed()

    async def _say_farewell(self) -> None:
        """Close this side only, and wait for the peer's; else the last error could be lost."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(_FAREWELL_BYTES):
                    pass


def _peer(writer: asyncio.StreamWriter) -> str:
    """The address of a TCP peer, as in a URI; a Unix socket's have none."""
    match writer.get_extra_info("peername"):
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "at the socket"
