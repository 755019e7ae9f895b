"""What all connections share: the model, the speech engine, the limits and the places of texts."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
from wyoming.event import Event
from wyoming.info import Info

from audio.commands import SeedCommands
from daemon.ports import Generator
from daemon.wyoming.events import InvalidEventError, Limits
from daemon.wyoming.services.conversations import Conversation, Conversations

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


class TtsEngine(Protocol):
    """Text to speech, as the server needs it."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    def stream(self, text: str) -> Iterator[tuple[str, npt.NDArray[np.int16]]]:
        """Synthesise piece by piece: each piece of text, and its samples, shape (n,)."""


@dataclass
class Shared:
    """Generators and engine, shared by all clients; each serves one client at a time.

    Attributes:
        generators: by language; those that are loaded.
        load_generator: loads that of a language, on a device where one is named; for a thread.
        commands: the commands of each language that is served; the first is the default.
        conversations: what was said in each.
        pause_seconds: of silence between two sentences of a text that comes in parts.
        limits: what a peer may take.
        places: for texts that are computed or wait for it.
    """

    generators: dict[str, Generator]
    engine: TtsEngine
    info: Info
    load_generator: Callable[[str, str | None], Generator]
    commands: Mapping[str, SeedCommands]
    limits: Limits = field(default_factory=Limits)
    pause_seconds: float = 0.35
    conversations: Conversations = field(default_factory=Conversations)
    generating: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.limits.requests)

    @property
    def default_language(self) -> str:
        """The language of a text that names none."""
        return next(iter(self.commands))


def text_of(event: Event) -> str:
    """The field `text` of an event.

    Raises:
        InvalidEventError: it is no string.
    """
    text = event.data.get("text")
    if not isinstance(text, str):
        raise InvalidEventError("a text that is not a string", type=event.type, is_read=True)
    return text
