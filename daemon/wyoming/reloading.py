"""Takes in new settings, on SIGHUP, and new weights files, which are watched, between two texts.

New parts are built while the old ones serve; if one cannot be built, nothing changes. A text under
way ends with the old ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from config.errors import AfterwordError
from config.settings import Settings
from daemon.memory import trim_heap
from daemon.observers.isolation import log_fault
from daemon.ports import Generator
from daemon.reload.settings import MadeFrom, engine_settings, generator_settings
from daemon.systemd.notify import Notifier
from daemon.wyoming.services.engines import Engines, TtsEngine
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.shared import Shared, Transcriber

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0  # between two looks at the weights files

Stamps = tuple[object, ...]


class Source(Protocol):
    """Where the parts come from, as loading.Loader; its methods are for threads."""

    @property
    def settings(self) -> Mapping[str, Settings]:
        """By language; the configured one is the first."""

    def offer(self) -> Offer:
        """What can be offered."""

    def load_generator(self, language: str, device: str | None) -> Generator:
        """The generator of a language."""

    def open_engine(self, voice: str) -> TtsEngine:
        """The engine of a voice."""

    def open_transcriber(self, language: str) -> Transcriber:
        """The transcriber of a language."""

    def stamps(self, language: str) -> Stamps:
        """They differ when the weights files of a language do; the first is None without a file."""


class Reloader:
    """Reloads what is shared; for the thread of the event loop."""

    def __init__(self, shared: Shared, source: Source, read: Callable[[], Source]) -> None:
        """Start from what is in force.

        Args:
            shared: made from the source.
            source: the one in force.
            read: reads the settings again; called in a thread, raises AfterwordError.
        """
        self._shared = shared
        self._source = source
        self._read = read
        self._asked = asyncio.Event()
        self._notifier = Notifier()
        self._seen: dict[str, Stamps] = {}  # at the last look
        self._handled: dict[str, Stamps] = {}  # of the files in use, or that cannot be used

    def request(self) -> None:
        """Reload soon; for a signal handler."""
        self._asked.set()

    async def run(self) -> None:
        """Reload when asked, and watch the weights files, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                await self._guarded(self.check_weights, "The old weights stay in use.")
                continue
            self._asked.clear()
            self._notifier.reloading()
            await self._guarded(self.reload, "The old settings stay in force.")
            self._notifier.ready()

    async def _guarded(self, act: Callable[[], Awaitable[None]], consequence: str) -> None:
        try:
            await act()
        except AfterwordError as error:
            log.error("%s %s", error, consequence)
        except Exception as error:  # a bug must not end the watch
            log_fault("New settings or weights could not be taken", error)

    async def reload(self) -> None:
        """Read the settings, build what they change, and use it.

        Raises:
            AfterwordError: a part cannot be built; nothing has changed.
        """
        source = await asyncio.to_thread(self._read)
        offer = await asyncio.to_thread(source.offer)
        generators = await self._new_generators(source, offer)
        transcribers = await self._new_transcribers(source, offer)
        engines = await self._new_engines(source, offer)
        shared, self._source = self._shared, source
        if engines is not shared.engines:
            shared.engines.retire()
        shared.offer, shared.engines = offer, engines
        shared.generators, shared.transcribers = generators, transcribers
        shared.load_generator = source.load_generator
        shared.open_transcriber = source.open_transcriber
        trim_heap()
        log.info("the settings are reloaded")

    async def _new_generators(self, source: Source, offer: Offer) -> dict[str, Generator]:
        if not self._differs(source, generator_settings):
            return self._shared.generators
        if "handle" not in offer.services:
            return {}
        language = offer.languages[0]
        return {language: await asyncio.to_thread(source.load_generator, language, None)}

    async def _new_transcribers(self, source: Source, offer: Offer) -> dict[str, Transcriber]:
        if not self._differs(source, _recogniser_settings):
            return self._shared.transcribers
        language = offer.languages[0]
        if language not in offer.hearing:
            return {}
        return {language: await asyncio.to_thread(source.open_transcriber, language)}

    async def _new_engines(self, source: Source, offer: Offer) -> Engines:
        """Engines of the new voices, the default one running."""
        is_same_list = offer.voices == self._shared.offer.voices
        if is_same_list and not self._differs(source, engine_settings):
            return self._shared.engines
        engines = Engines(source.open_engine)
        if "tts" in offer.services:
            async with engines.use(offer.voices.defaults[offer.languages[0]]):
                pass
        return engines

    async def check_weights(self) -> None:
        """Load weights files that have changed since the last look but one, and no more since.

        Raises:
            AfterwordError: they cannot be used.
        """
        for language in [*self._shared.generators]:
            stamps = await asyncio.to_thread(self._source.stamps, language)
            is_settled, self._seen[language] = stamps == self._seen.get(language), stamps
            handled = self._handled.setdefault(language, stamps)
            if is_settled and stamps != handled and stamps[0] is not None:
                self._handled[language] = stamps
                generator = await asyncio.to_thread(self._source.load_generator, language, None)
                self._shared.generators[language] = generator
                trim_heap()
                log.info("new weights for the language %s are in use", language)

    def _differs(self, source: Source, made_from: MadeFrom) -> bool:
        before, after = (
            {code: made_from(settings) for code, settings in one.settings.items()}
            for one in (self._source, source)
        )
        return list(before.items()) != list(after.items())  # the first is the default


def _recogniser_settings(settings: Settings) -> object:
    """The transcriber: its model, and the commands that a short sound may be."""
    return settings.language, settings.hearing, settings.commands
