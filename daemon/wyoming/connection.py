"""One connection: its peer's events are answered one after another."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import NotHandled
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop
from wyoming.wake import Detect

from daemon.observers.isolation import log_fault
from daemon.wyoming.events import (
    DisconnectedError,
    InvalidEventError,
    read_event,
    send_event,
    write_event,
)
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.conversations import Conversation
from daemon.wyoming.services.handling import continue_text
from daemon.wyoming.services.info import describe
from daemon.wyoming.services.shared import Shared
from daemon.wyoming.services.sounds.hearing import Sound
from daemon.wyoming.services.sounds.waking import Wake
from daemon.wyoming.services.speaking import SpeechStream, refuse_speech, synthesize

_FAREWELL_SECONDS = 2.0  # for the peer to read the last error and to close its side
_FAREWELL_BYTES = 64 * 1024  # read at a time, and thrown away
_SOUND_EVENTS = ("audio-start", "audio-chunk", "audio-stop")


class Connection:
    """Reads, answers and writes the events of one peer.

    Attributes:
        address: the peer's, for the log.
        last_active: when an event or a text of the peer was last dealt with, in seconds of
            time.monotonic.
        has_place: True while a text of the peer is computed or waits for it.
        is_answering: True while an event of the peer is answered, also while it is slow to read, or
            more of a text or a sound is awaited.
        conversation: that of texts that name none.
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
        self.address = _address(writer)
        self.last_active = time.monotonic()
        self.has_place = False
        self.is_answering = False
        self._stream: SpeechStream | None = None  # a text that comes in parts
        self.conversation = Conversation()
        self._request: Event | None = None  # `transcribe` or `detect`, for the next sound
        self._sound: Sound | Wake | None = None  # that is heard
        self._farewell = ""  # the last message, once the connection is dismissed

    async def serve(self) -> None:
        """Answer events until the peer leaves, is silent for too long, or breaks the protocol."""
        try:
            await self._answer_all()
            await self._flush()
        except DisconnectedError as error:
            if str(error):
                self._warn(f"The Wyoming client {self.address} {error}: disconnected.")
        except asyncio.CancelledError:
            if not self._farewell:
                raise
            await self._say_farewell(self._farewell)
        except Exception as error:  # a bug must not end the server
            log_fault(f"The connection of the Wyoming client {self.address} failed", error)
        finally:
            self._end_sound()
            self.abort()

    async def write(self, event: Event) -> None:
        """Send an event, and wait until the peer takes it; as shared.Peer."""
        await write_event(event, self._writer, self._shared.limits)
        self.last_active = time.monotonic()

    def send(self, event: Event) -> None:
        """Send an event without waiting for the peer; as shared.Peer."""
        send_event(event, self._writer)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold one of the places of texts, and stay connected meanwhile; as shared.Peer."""
        async with self._shared.places:
            self.has_place = True
            try:
                yield
            finally:
                self.has_place = False
                self.last_active = time.monotonic()

    def dismiss(self, farewell: str, task: asyncio.Task[None]) -> None:
        """End `serve`, which is this task, after an `error` with this message."""
        self._farewell = farewell
        task.cancel()

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
                self.is_answering = True
                await self._answer(event)
                is_short = self._sound and not self._sound.may_pause
                idle_seconds = limits.event_seconds if is_short else limits.idle_seconds
            except InvalidEventError as fault:
                self._warn(f"The Wyoming client {self.address} sent {fault}.")
                await self._refuse(fault.type, f"This service was sent {fault}.", "invalid")
                if not fault.is_read:
                    await self._await_close()
                    return
                idle_seconds = limits.event_seconds
            finally:
                self.is_answering = bool(self._stream or self._sound)
            await asyncio.sleep(0)  # the turn of others, also when a peer floods

    async def _answer(self, event: Event) -> None:
        """Answer one event; those of other services are ignored."""
        if Describe.is_type(event.type):
            await self.write(describe(self._shared.offer).event())
        elif Transcribe.is_type(event.type) or Detect.is_type(event.type):
            await self._await_sound(event)
        elif event.type in _SOUND_EVENTS:
            await self._hear(event)
        elif Ping.is_type(event.type):
            text = event.data.get("text")
            await self.write(Pong(text if isinstance(text, str) else None).event())
        elif Synthesize.is_type(event.type) and self._stream:
            pass  # it repeats the whole text, for servers that take none in parts
        elif Transcript.is_type(event.type) or Synthesize.is_type(event.type):
            await self._serve_request(event)
        elif SynthesizeStart.is_type(event.type):
            self._stream = SpeechStream(self._shared, event, self)
            await self._stream.begin()
        elif SynthesizeChunk.is_type(event.type) and self._stream:
            await self._stream.feed(event)
        elif SynthesizeStop.is_type(event.type) and self._stream:
            stream, self._stream = self._stream, None
            await stream.finish()

    async def _await_sound(self, request: Event) -> None:
        """Keep the request for the sound that follows it."""
        offer = self._shared.offer
        service = "wake" if Detect.is_type(request.type) else "asr"
        if service not in offer.services:
            await self._refuse(request.type, f"The service {service} is switched off.", "off")
        self._request = request

    async def _hear(self, event: Event) -> None:
        """Answer an event of a sound; those without a beginning are passed over."""
        if AudioStart.is_type(event.type):
            self._end_sound()
            self._sound, self._request = self._sound_for(self._request), None
            if self._sound:
                await self._sound.begin()
        elif AudioChunk.is_type(event.type) and self._sound:
            await self._sound.feed(event)
        elif AudioStop.is_type(event.type) and self._sound:
            sound, self._sound = self._sound, None
            try:
                await sound.finish()
            finally:
                sound.close()

    def _sound_for(self, request: Event | None) -> Sound | Wake | None:
        """What hears a sound after this request; None for a service that is not offered."""
        offer = self._shared.offer
        if request and Detect.is_type(request.type):
            return Wake(self._shared, request, self) if "wake" in offer.services else None
        return Sound(self._shared, request, self) if offer.hearing else None

    def _end_sound(self) -> None:
        if self._sound:
            self._sound.close()
            self._sound = None

    async def _serve_request(self, event: Event) -> None:
        shared = self._shared
        service = "handle" if Transcript.is_type(event.type) else "tts"
        if service not in shared.offer.services:
            await self._refuse(event.type, f"The service {service} is switched off.", "off")
        elif shared.places.locked():
            self._warn(
                f"The Wyoming client {self.address} was refused: {shared.limits.requests} texts "
                "are in hand."
            )
            message = ANSWERS[shared.default_language].busy
            if Transcript.is_type(event.type):
                await self.write(NotHandled(message, event.data.get("context")).event())
            else:
                await refuse_speech(message, "busy", self)
        elif Transcript.is_type(event.type):
            await continue_text(shared, event, self)
        else:
            await synthesize(shared, event, self)

    async def _refuse(self, type: str, message: str, code: str) -> None:
        if Transcript.is_type(type):
            await self.write(NotHandled(message).event())
        else:
            await self.write(Error(message, code).event())

    async def _flush(self) -> None:
        """Close the connection when the peer has taken all that was written."""
        with contextlib.suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(self._shared.limits.write_seconds):
                self._writer.close()
                await self._writer.wait_closed()

    async def _say_farewell(self, message: str) -> None:
        with contextlib.suppress(DisconnectedError):
            self.send(Error(message, "busy").event())
            await self._await_close()

    async def _await_close(self) -> None:
        """Close this side only, and wait for the peer's; else the last error could be lost."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(_FAREWELL_BYTES):
                    pass


def _address(writer: asyncio.StreamWriter) -> str:
    """The address of a TCP peer, as in a URI; a Unix socket's have none."""
    match writer.get_extra_info("peername"):
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "at the socket"
