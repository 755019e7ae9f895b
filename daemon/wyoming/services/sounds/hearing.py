"""The service asr: recognises the words of a sound."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.error import Error
from wyoming.event import Event

from audio.pcm import SAMPLE_RATE
from config.errors import AfterwordError
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.info import LANGUAGE_NAMES
from daemon.wyoming.services.languages import find_language
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, context_of
from daemon.wyoming.services.sounds.converter import Converter
from daemon.wyoming.services.source import Transcription

T = TypeVar("T")
log = logging.getLogger(__name__)

SOUND_SECONDS = 300  # of one sound; what follows is not heard
_BLOCK_BYTES = 2 * SAMPLE_RATE // 10  # heard at a time: 0.1 s


class Sound:
    """A sound of a client, from `audio-start` to `audio-stop`; its words are sent while it comes.

    `transcript` follows in any case, empty where nothing can be heard, because clients wait for it.

    Attributes:
        may_pause: False; the end of a client that is gone would never come.
    """

    may_pause = False

    def __init__(self, shared: Shared, request: Event | None, peer: Peer) -> None:
        """`request` is the event `transcribe`, with the language, if there was one."""
        self._shared = shared
        self._data = request.data if request else {}
        self._peer = peer
        self._language = ""
        self._transcription: Transcription | None = None  # None: nothing can be heard
        self._is_counted = False
        self._converter = Converter()
        self._waiting = b""  # sound of less than a block
        self._bytes = 0  # of all sound so far, as it is heard

    async def begin(self) -> None:
        """Answer `audio-start` with `transcript-start`, and `error` where nothing can be heard.

        Raises:
            DisconnectedError: the peer has left.
        """
        offered = [*self._shared.offer.hearing]
        tag = self._data.get("language")
        wanted = tag if isinstance(tag, str) and tag.strip() else offered[0]
        language = find_language(wanted, offered)
        self._language = language or offered[0]
        if language is None:
            names = " and ".join(LANGUAGE_NAMES[code] for code in offered)
            await self._fail(f"Sorry, I understand {names} only.", "no-language")
        elif self._shared.listeners.locked():
            await self._fail(ANSWERS[language].busy, "busy")
        else:
            await self._shared.listeners.acquire()
            self._is_counted = True
            await self._open(language)
        await self._peer.write(TranscriptStart(context_of(self._data), self._language).event())

    async def feed(self, event: Event) -> None:
        """Answer `audio-chunk`: hear it.

        Raises:
            InvalidEventError: the format of the sound is none.
            DisconnectedError: the peer has left.
        """
        self._waiting += self._converter.convert(event)
        if len(self._waiting) >= _BLOCK_BYTES:
            await self._hear()

    async def finish(self) -> None:
        """Answer `audio-stop` with the whole text.

        Raises:
            DisconnectedError: the peer has left.
        """
        self._waiting += self._converter.rest()
        await self._hear()
        rest = text = ""
        if self._transcription is not None:
            rest, text = await self._guarded(self._transcription.finish) or ("", "")
        self.close()
        if rest:
            await self._peer.write(TranscriptChunk(rest).event())
        await self._peer.write(Transcript(text, context_of(self._data), self._language).event())
        await self._peer.write(TranscriptStop().event())

    def close(self) -> None:
        """Give the place back; nothing is heard any more."""
        self._transcription = None
        if self._is_counted:
            self._is_counted = False
            self._shared.listeners.release()

    async def _open(self, language: str) -> None:
        async def open_one() -> Transcription:
            transcriber = await self._shared.transcriber(language)
            return await asyncio.to_thread(transcriber.begin)

        try:
            async with self._shared.hearing:
                self._transcription = await open_one()
        except AfterwordError as error:
            log.error("%s", error)
            await self._fail(str(error), type(error).__name__)

    async def _hear(self) -> None:
        """Hear what waits, in its turn."""
        pcm, self._waiting = self._waiting, b""
        left = 2 * SAMPLE_RATE * SOUND_SECONDS - self._bytes
        self._bytes += len(pcm)
        if self._transcription is None or left <= 0 or not pcm:
            return
        transcription = self._transcription
        if words := await self._guarded(lambda: transcription.accept(pcm[:left])):
            await self._peer.write(TranscriptChunk(words).event())

    async def _guarded(self, work: Callable[[], T]) -> T | None:
        """Work in a thread, in turn with other sounds; None after a programming error."""
        try:
            async with self._shared.hearing:
                return await asyncio.to_thread(work)
        except DisconnectedError:
            raise
        except Exception as error:  # a bug must not leave the peer without an answer
            log_fault("A sound could not be heard", error)
            self._transcription = None
            await self._fail(INTERNAL_ERROR, "internal")
            return None

    async def _fail(self, message: str, code: str) -> None:
        await self._peer.write(Error(message, code).event())
