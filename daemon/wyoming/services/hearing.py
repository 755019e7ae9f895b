"""The service asr: recognises the words of a sound."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.error import Error
from wyoming.event import Event

from audio.input.resampler import Resampler
from audio.pcm import SAMPLE_RATE
from config.errors import AfterwordError
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError, InvalidEventError
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.info import LANGUAGE_NAMES
from daemon.wyoming.services.languages import find_language
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, Transcription

T = TypeVar("T")
log = logging.getLogger(__name__)

SOUND_SECONDS = 300  # of one sound; what follows is not heard
_BLOCK_BYTES = 2 * SAMPLE_RATE // 10  # heard at a time: 0.1 s
_RATES = range(4000, 384_001)  # samples per second; fewer are no speech
_CHANNELS = range(1, 33)
_WIDTHS = range(1, 5)


class Sound:
    """A sound of a client, from `audio-start` to `audio-stop`; its words are sent while it comes.

    `transcript` follows in any case, empty where nothing can be heard, because clients wait for it.
    """

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
        await self._peer.write(TranscriptStart(self._context, self._language).event())

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
        await self._peer.write(Transcript(text, self._context, self._language).event())
        await self._peer.write(TranscriptStop().event())

    def close(self) -> None:
        """Give the place back; nothing is heard any more."""
        self._transcription = None
        if self._is_counted:
            self._is_counted = False
            self._shared.listeners.release()

    @property
    def _context(self) -> dict[str, object] | None:
        context = self._data.get("context")
        return context if isinstance(context, dict) else None

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


class Converter:
    """Converts sound of any rate, width and number of channels to 16-bit mono at 16 kHz."""

    def __init__(self) -> None:
        self._format: tuple[int, int, int] | None = None  # rate, width, channels
        self._resampler: Resampler | None = None
        self._cut = b""  # of a frame that is not whole yet

    def convert(self, event: Event) -> bytes:
        """The samples of an `audio-chunk`; some are held back until more come.

        Raises:
            InvalidEventError: the format is none.
        """
        found = _format(event)
        before = b""
        if found != self._format:  # it may change within a sound
            before = self.rest()
            self._format, self._cut, self._resampler = found, b"", Resampler(found[0])
        assert self._resampler is not None  # noqa: S101
        _, width, channels = found
        data = self._cut + (event.payload or b"")
        whole = len(data) - len(data) % (width * channels)
        self._cut = data[whole:]
        samples = _samples(data[:whole], width).reshape(-1, channels)
        return before + self._resampler.convert(samples)

    def rest(self) -> bytes:
        """The samples that were held back; no more come."""
        resampler, self._resampler, self._format = self._resampler, None, None
        return resampler.rest() if resampler else b""


def _format(event: Event) -> tuple[int, int, int]:
    return (
        _number(event, "rate", _RATES),
        _number(event, "width", _WIDTHS),
        _number(event, "channels", _CHANNELS),
    )


def _number(event: Event, key: str, allowed: range) -> int:
    number = event.data.get(key)
    if type(number) is int and number in allowed:
        return number
    fault = f"sound with a {key} that is not between {allowed[0]} and {allowed[-1]}"
    raise InvalidEventError(fault, type=event.type, is_read=True)


def _samples(data: bytes, width: int) -> npt.NDArray[np.float32]:
    """Samples from -1 to 1, shape (n,): 8 bits are unsigned, more are signed little-endian."""
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    padded = np.zeros((len(data) // width, 4), np.uint8)  # as the high bytes of 32 bits
    padded[:, 4 - width :] = np.frombuffer(data, np.uint8).reshape(-1, width)
    return padded.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
