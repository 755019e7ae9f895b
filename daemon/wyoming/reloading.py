"""Takes in new settings, on SIGHUP, and new weights files, which are watched, between two texts.

New parts are built while the old ones serve; if one cannot be built, nothing changes. A text under
way ends with the old ones.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from config.errors import AfterwordError, RefusedError
from config.settings import Settings
from daemon.memory import trim_heap
from daemon.observers.isolation import log_fault
from daemon.ports import Generator
from daemon.reload.settings import MadeFrom, engine_settings, generator_settings
from daemon.systemd.notify import Notifier
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.shared import Shared
from daemon.wyoming.services.source import Source, Spotter, Transcriber
from model.inference.loading import WeightsWatch

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0  # between two looks at the weights files


class Reloader:
    """Reloads what is shared; for the thread of the event loop.

    Attributes:
        refused: why the newest settings or weights are not in force; None if they are.
    """

    def __init__(self, shared: Shared, read: Callable[[], Source]) -> None:
        """Start from what is in force.

        Args:
            shared: made from its source.
            read: reads the settings again; called in a thread, raises AfterwordError.
        """
        self._shared = shared
        self._read = read
        self._asked = asyncio.Event()
        self._at_work = asyncio.Lock()
        self._notifier = Notifier()
        self._watches: dict[str, WeightsWatch] = {}
        self.refused: str | None = None

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
                await self._guarded(self.check_weights)
                continue
            self._asked.clear()
            self._notifier.reloading()
            await self._guarded(self.reload)
            self._notifier.ready()

    async def _guarded(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except AfterwordError as error:
            log.error("%s", error)
        except Exception as error:  # a bug must not end the watch
            log_fault("New settings or weights could not be taken", error)

    async def reload(self) -> None:
        """Read the settings, build what they change, and use it.

        Raises:
            RefusedError: they cannot be read, or a part cannot be built; nothing has changed.
        """
        async with self._at_work:
            try:
                await self._reload()
            except AfterwordError as error:
                self.refused = f"{error} The old settings stay in force."
                raise RefusedError(self.refused) from error
            self.refused = None

    async def _reload(self) -> None:
        shared = self._shared
        source = await asyncio.to_thread(self._read)
        offer = await asyncio.to_thread(source.offer)
        generators = await self._new_generators(source, offer)
        transcribers = await self._new_transcribers(source, offer)
        spotters = self._new_spotters(source)
        engines = await self._new_engines(source, offer)
        if engines is not shared.engines:
            shared.engines.retire()
        if generators is not shared.generators:
            self._watches.clear()
        shared.source, shared.offer, shared.engines = source, offer, engines
        shared.generators, shared.transcribers = generators, transcribers
        shared.spotters = spotters
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

    def _new_spotters(self, source: Source) -> dict[str, Spotter]:
        """None where the settings differ; they are loaded when they are first asked for."""
        return {} if self._differs(source, _spotter_settings) else self._shared.spotters

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
            RefusedError: they cannot be used.
        """
        async with self._at_work:
            for language in [*self._shared.generators]:
                try:
                    await self._check(language)
                except AfterwordError as error:
                    self.refused = f"{error} The old weights stay in use."
                    raise RefusedError(self.refused) from error

    async def _check(self, language: str) -> None:
        source = self._shared.source
        stamps = await asyncio.to_thread(source.stamps, language)
        watch = self._watches.setdefault(language, WeightsWatch())
        if watch.settled(stamps) and watch.take(stamps):
            generator = await asyncio.to_thread(source.load_generator, language, None)
            self._shared.generators[language] = generator
            self.refused = None
            trim_heap()
            log.info("new weights for the language %s are in use", language)

    def _differs(self, source: Source, made_from: MadeFrom) -> bool:
        before, after = (
            {code: made_from(settings) for code, settings in one.settings.items()}
            for one in (self._shared.source, source)
        )
        return list(before.items()) != list(after.items())  # the first is the default


def _recogniser_settings(settings: Settings) -> object:
    """The transcriber: its model, and the commands that a short sound may be."""
    return settings.language, settings.hearing, settings.commands


def _spotter_settings(settings: Settings) -> object:
    """The spotter: its model and the trigger phrases."""
    return settings.language, settings.hearing, settings.trigger
