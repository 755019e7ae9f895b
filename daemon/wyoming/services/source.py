"""Where the parts of the services come from: what loads models and starts speech engines."""

from collections.abc import Collection, Mapping
from typing import Protocol

from config.settings import Settings
from daemon.ports import Generator
from daemon.wyoming.services.engines import TtsEngine
from daemon.wyoming.services.offer import Offer

Stamps = tuple[object, ...]


class Transcription(Protocol):
    """The words of one sound; for one thread at a time."""

    def accept(self, pcm: bytes) -> str:
        """Hear 16-bit samples at 16 kHz; the next words that are sure, often none."""

    def finish(self) -> tuple[str, str]:
        """The sound has ended: the last words, and the whole text."""


class Transcriber(Protocol):
    """Speech to text in one language, as the server needs it."""

    def begin(self) -> Transcription:
        """Begin a sound."""


class Spotting(Protocol):
    """The trigger phrases in one sound; for one thread at a time."""

    def accept(self, pcm: bytes) -> Collection[str]:
        """Hear 16-bit samples at 16 kHz; the phrases that were said, mostly none."""

    def finish(self) -> Collection[str]:
        """The sound has ended: the phrases that were said at last."""


class Spotter(Protocol):
    """Detects the trigger phrases of one language, as the server needs it."""

    def begin(self) -> Spotting:
        """Begin a sound."""


class Source(Protocol):
    """Where the parts come from, as loading.Loader; its methods are for threads."""

    @property
    def settings(self) -> Mapping[str, Settings]:
        """By language; the configured one is the first."""

    def offer(self) -> Offer:
        """What can be offered."""

    def load_generator(self, language: str, device: str | None) -> Generator:
        """The generator of a language, on a device where one is named."""

    def open_engine(self, voice: str) -> TtsEngine:
        """The engine of a voice."""

    def open_transcriber(self, language: str) -> Transcriber:
        """The transcriber of a language."""

    def open_spotter(self, language: str) -> Spotter:
        """The spotter of a language."""

    def weights(self) -> Mapping[str, list[str]]:
        """Names of the weights in memory, by language."""

    def stamps(self, language: str) -> Stamps:
        """They differ when the weights files of a language do; the first is None without a file."""
