"""The service wake: detects the trigger phrases in a sound, as at the microphone."""

import asyncio
from collections.abc import Callable, Collection, Sequence

from wyoming.error import Error
from wyoming.event import Event
from wyoming.wake import Detection, NotDetected

from audio.pcm import SAMPLE_RATE
from config.errors import AfterwordError
from daemon.observers.isolation import log_fault
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.offer import WakePhrase
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, context_of
from daemon.wyoming.services.sounds.converter import Converter
from daemon.wyoming.services.source import Spotting

_BLOCK_BYTES = 2 * SAMPLE_RATE // 10  # heard at a time: 0.1 s


class Wake:
    """A sound of a client that waits for a trigger phrase; it may last for days.

    Each phrase is told with `detection`, and the sound goes on; one without any ends with
    `not-detected`.

    Attributes:
        may_pause: True, because a satellite stops sending while it hears what follows a phrase.
    """

    may_pause = True

    def __init__(self, shared: Shared, request: Event, peer: Peer) -> None:
        """`request` is the event `detect`, with the names of the phrases, if there are any."""
        self._shared = shared
        self._data = request.data
        self._peer = peer
        self._phrases: dict[str, WakePhrase] = {}  # that are wanted, by text
        self._spotting: Spotting | None = None  # None: nothing can be detected
        self._is_counted = self._has_detected = False
        self._converter = Converter()
        self._waiting = b""  # sound of less than a block
        self._bytes = 0  # of all sound so far, as it is heard
        self._timestamp: int | None = None  # of the last chunk, by the client, in milliseconds

    async def begin(self) -> None:
        """Answer `audio-start`: nothing, or `error` where no phrase can be detected.

        Raises:
            DisconnectedError: the peer has left.
        """
        offered = self._shared.offer.phrases
        wanted = _wanted(self._data.get("names"), offered)
        self._phrases = {phrase.text: phrase for phrase in wanted}
        if not wanted:
            names = ", ".join(phrase.name for phrase in offered) or "none"
            await self._fail(f"This trigger phrase is not detected; those are: {names}.", "name")
        elif self._shared.watchers.locked():
            await self._fail(ANSWERS[wanted[0].language].busy, "busy")
        else:
            await self._shared.watchers.acquire()
            self._is_counted = True
            await self._open(wanted[0].language)

    async def feed(self, event: Event) -> None:
        """Answer `audio-chunk`: hear it; `detection` where a phrase ends.

        Raises:
            InvalidEventError: the format of the sound is none.
            DisconnectedError: the peer has left.
        """
        timestamp = event.data.get("timestamp")
        self._timestamp = timestamp if type(timestamp) is int else None
        self._waiting += self._converter.convert(event)
        if len(self._waiting) >= _BLOCK_BYTES:
            await self._hear()

    async def finish(self) -> None:
        """Answer `audio-stop`: with the phrase said at last, or `not-detected` if there was none.

        Raises:
            DisconnectedError: the peer has left.
        """
        self._waiting += self._converter.rest()
        await self._hear()
        if self._spotting is not None:
            await self._detect(self._spotting.finish)
        self.close()
        if not self._has_detected:
            await self._peer.write(NotDetected(context_of(self._data)).event())

    def close(self) -> None:
        """Give the place back; nothing is heard any more."""
        self._spotting = None
        if self._is_counted:
            self._is_counted = False
            self._shared.watchers.release()

    async def _open(self, language: str) -> None:
        try:
            async with self._shared.hearing:
                spotter = await self._shared.spotter(language)
                self._spotting = await asyncio.to_thread(spotter.begin)
        except AfterwordError as error:
            await self._fail(str(error), type(error).__name__)

    async def _hear(self) -> None:
        pcm, self._waiting = self._waiting, b""
        self._bytes += len(pcm)
        if self._spotting is not None and pcm:
            spotting = self._spotting
            await self._detect(lambda: spotting.accept(pcm))

    async def _detect(self, work: Callable[[], Collection[str]]) -> None:
        """Hear in a thread, in turn with other sounds, and tell the phrases."""
        try:
            async with self._shared.hearing:
                found = await asyncio.to_thread(work)
        except Exception as error:  # a bug must not leave the peer without an answer
            log_fault("A sound could not be heard", error)
            self._spotting = None
            await self._fail(INTERNAL_ERROR, "internal")
            return
        for phrase in [self._phrases[text] for text in found if text in self._phrases]:
            self._has_detected = True
            heard = 1000 * self._bytes // (2 * SAMPLE_RATE)
            timestamp = heard if self._timestamp is None else self._timestamp
            detection = Detection(phrase.name, timestamp, context=context_of(self._data))
            await self._peer.write(detection.event())

    async def _fail(self, message: str, code: str) -> None:
        await self._peer.write(Error(message, code).event())


def _wanted(names: object, offered: Sequence[WakePhrase]) -> list[WakePhrase]:
    """The phrases that these names choose, all of one language; without names, the default one's.

    A name may have blanks, and its phrase any capitals.
    """
    chosen = [*offered]
    if isinstance(names, list) and names:
        wanted = {"_".join(name.split()).casefold() for name in names if isinstance(name, str)}
        chosen = [phrase for phrase in offered if phrase.name.casefold() in wanted]
    return [phrase for phrase in chosen if phrase.language == chosen[0].language]
