"""What all connections share: models, speech engines, limits and the places of texts."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from wyoming.event import Event

from daemon.ports import Generator
from daemon.wyoming.events import InvalidEventError, Limits
from daemon.wyoming.services.conversations import Conversation, Conversations
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.source import Source, Spotter, Transcriber

T = TypeVar("T")

_HEARD_AT_ONCE = 2  # the recogniser releases the interpreter's lock
INTERNAL_ERROR = "Afterword has failed because of an error of its own; its log has more."


class Peer(Protocol):
    """The peer that asked, as the services need it. `write` and `send` raise DisconnectedError."""

    @property
    def conversation(self) -> Conversation:
        """The conversation of texts that name none."""

    async def write(self, event: Event) -> None:
        """Send an event, and wait until the peer takes it; never while a lock is held."""

    def send(self, event: Event) -> None:
        """Send an event without waiting for the peer."""

    def place(self) -> AbstractAsyncContextManager[None]:
        """One of the places of the texts that are computed or wait for it."""


@dataclass
class Shared:
    """Generators and engines, shared by all clients; one text is continued and one is spoken.

    Attributes:
        offer: what is offered.
        source: loads models, and starts engines.
        engines: speak; one at a time, too.
        limits: what a peer may take.
        generators: by language; those that are loaded.
        transcribers: likewise.
        spotters: likewise.
        conversations: what was said in each.
        places: for texts that are computed or wait for it.
        listeners: for sounds that are recognised, from their beginning to their end.
        watchers: for sounds in which trigger phrases are detected, likewise.
        hearing: for pieces of sound that are heard at the same time.
    """

    offer: Offer
    source: Source
    engines: Engines
    limits: Limits = field(default_factory=Limits)
    generators: dict[str, Generator] = field(default_factory=dict)
    transcribers: dict[str, Transcriber] = field(default_factory=dict)
    spotters: dict[str, Spotter] = field(default_factory=dict)
    conversations: Conversations = field(default_factory=Conversations)
    generating: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    hearing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_HEARD_AT_ONCE))
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: asyncio.Semaphore = field(init=False)
    listeners: asyncio.Semaphore = field(init=False)
    watchers: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.limits.requests)
        self.listeners = asyncio.Semaphore(self.limits.sounds)
        self.watchers = asyncio.Semaphore(self.limits.watches)

    @property
    def default_language(self) -> str:
        """The language of the settings."""
        return self.offer.languages[0]

    async def prepare(self) -> None:
        """Load what the default language needs; all else is loaded when first asked for.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        services, language = self.offer.services, self.default_language
        if "handle" in services:
            async with self.generating:  # clients may ask already
                await self.generator(language)
        if "tts" in services:
            async with self.engines.use(self.offer.voices.defaults[language]):
                pass
        if language in self.offer.hearing:
            await self.transcriber(language)

    async def generator(self, language: str) -> Generator:
        """The generator of a language, loaded when first asked for; with `generating` held.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        if language not in self.generators:
            load = self.source.load_generator
            self.generators[language] = await asyncio.to_thread(load, language, None)
        return self.generators[language]

    async def transcriber(self, language: str) -> Transcriber:
        """The transcriber of a language, loaded when first asked for.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        return await self._opened(self.transcribers, language, self.source.open_transcriber)

    async def spotter(self, language: str) -> Spotter:
        """The spotter of a language, loaded when first asked for.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        return await self._opened(self.spotters, language, self.source.open_spotter)

    async def _opened(self, opened: dict[str, T], language: str, open_one: Callable[[str], T]) -> T:
        """That of a language among the opened ones; it is opened when first asked for."""
        async with self._loading:
            if language not in opened:
                opened[language] = await asyncio.to_thread(open_one, language)
        return opened[language]


def context_of(data: Mapping[str, object]) -> dict[str, object] | None:
    """The field `context` of an event, which its answers repeat; None if it is no table."""
    context = data.get("context")
    return context if isinstance(context, dict) else None


def text_of(event: Event) -> str:
    """The field `text` of an event.

    Raises:
        InvalidEventError: it is no string.
    """
    text = event.data.get("text")
    if not isinstance(text, str):
        raise InvalidEventError("a text that is not a string", type=event.type, is_read=True)
    return text
