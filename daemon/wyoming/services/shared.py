"""What all connections share: models, speech engines, limits and the places of texts."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from wyoming.event import Event

from daemon.ports import Generator
from daemon.wyoming.events import InvalidEventError, Limits
from daemon.wyoming.services.conversations import Conversation, Conversations
from daemon.wyoming.services.engines import Engines
from daemon.wyoming.services.offer import Offer

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
        load_generator: loads that of a language, on a device where one is named; for a thread.
        engines: speak; one at a time, too.
        limits: what a peer may take.
        generators: by language; those that are loaded.
        conversations: what was said in each.
        places: for texts that are computed or wait for it.
    """

    offer: Offer
    load_generator: Callable[[str, str | None], Generator]
    engines: Engines
    limits: Limits = field(default_factory=Limits)
    generators: dict[str, Generator] = field(default_factory=dict)
    conversations: Conversations = field(default_factory=Conversations)
    generating: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.limits.requests)

    @property
    def default_language(self) -> str:
        """The language of the settings."""
        return self.offer.languages[0]

    async def prepare(self) -> None:
        """Load what the default language needs; all else is loaded when first asked for.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        async with self.generating:
            await self.generator(self.default_language)
        async with self.engines.use(self.offer.voices.defaults[self.default_language]):
            pass

    async def generator(self, language: str) -> Generator:
        """The generator of a language, loaded when first asked for; with `generating` held.

        Raises:
            AfterwordError: it cannot be loaded.
        """
        if language not in self.generators:
            self.generators[language] = await asyncio.to_thread(self.load_generator, language, None)
        return self.generators[language]


def text_of(event: Event) -> str:
    """The field `text` of an event.

    Raises:
        InvalidEventError: it is no string.
    """
    text = event.data.get("text")
    if not isinstance(text, str):
        raise InvalidEventError("a text that is not a string", type=event.type, is_read=True)
    return text
