"""Running speech engines, one for each voice that is in use; few at a time."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

ENGINES = 4  # running at a time; one of a neural voice takes 150 to 600 MB


class TtsEngine(Protocol):
    """Text to speech, at audio.tts.sound.RATE; for one thread at a time."""

    def stream(self, text: str) -> Iterator[tuple[str, npt.NDArray[np.int16]]]:
        """Synthesise piece by piece: each piece of text, and its samples, shape (n,)."""

    def close(self) -> None:
        """End its process."""


@dataclass
class _Running:
    opening: asyncio.Task[TtsEngine]
    users: int = 0


class Engines:
    """Opens the engine of a voice when it is first asked for; closes the one unused for longest.

    For the thread of the event loop.
    """

    def __init__(self, open_engine: Callable[[str], TtsEngine], most: int = ENGINES) -> None:
        """`open_engine` starts the engine of a voice; it is called in a thread."""
        self._open_engine = open_engine
        self._most = most
        self._running: OrderedDict[str, _Running] = OrderedDict()  # the latest used is last
        self._freed = asyncio.Event()
        self._is_retired = False

    @contextlib.asynccontextmanager
    async def use(self, voice: str) -> AsyncIterator[TtsEngine]:
        """The engine of a voice; it stays open until the end of the context.

        Raises:
            AfterwordError: the engine does not start.
        """
        while voice not in self._running and not self._make_room():
            self._freed.clear()
            await self._freed.wait()
        if voice not in self._running:
            opening = asyncio.create_task(asyncio.to_thread(self._open_engine, voice))
            self._running[voice] = _Running(opening)
        running = self._running[voice]
        self._running.move_to_end(voice)
        running.users += 1
        try:
            yield await self._opened(voice, running)
        finally:
            running.users -= 1
            self._freed.set()
            if self._is_retired and not running.users:
                self._end(voice)

    async def _opened(self, voice: str, running: _Running) -> TtsEngine:
        try:
            return await asyncio.shield(running.opening)  # others may wait for it, too
        except asyncio.CancelledError:
            raise
        except BaseException:
            if self._running.get(voice) is running:
                del self._running[voice]  # the next one tries again
            raise

    def _make_room(self) -> bool:
        """Close an engine if the most are running; False if all of them are used."""
        if len(self._running) < self._most:
            return True
        unused = (voice for voice, one in self._running.items() if not one.users)
        if (voice := next(unused, None)) is None:
            return False
        _close(self._running.pop(voice).opening)
        return True

    def retire(self) -> None:
        """Close each engine as soon as nobody uses it; others take their place."""
        self._is_retired = True
        for voice in [voice for voice, one in self._running.items() if not one.users]:
            self._end(voice)

    def _end(self, voice: str) -> None:
        if running := self._running.pop(voice, None):
            _close(running.opening)

    def close(self) -> None:
        """Close all engines; none may be in use."""
        while self._running:
            _close(self._running.popitem()[1].opening)


def _close(opening: asyncio.Task[TtsEngine]) -> None:
    """Close an engine, as soon as it is open."""

    def close(opened: asyncio.Future[TtsEngine]) -> None:
        if not opened.cancelled() and not opened.exception():
            opened.result().close()

    if opening.done():
        close(opening)
    else:
        opening.add_done_callback(close)
