"""Hears each seed again with the careful recogniser, while Vosk's words stand by.

    voice ──pause──────────────end of the seed
                └ recogniser begins  │
                └──── its words ─────┴→ Seed

The sound is heard at each first pause, in a background thread, so that the words are mostly there
when the seed ends. Where they are not, the seed waits for up to WAIT_SECONDS; then it has Vosk's.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import Protocol

from audio.events import Event, NoSpeech, Paused, Resumed, Seed, VoiceCommand
from audio.pcm import SAMPLE_RATE
from audio.stt.careful.whisper import MAX_SECONDS

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.5  # for the words, from the end of the seed on
_NEW_VOICE_SECONDS = 0.1  # more voice than was heard makes the words incomplete


class WordRecognizer(Protocol):
    """A recogniser of whole sounds."""

    def hear(self, pcm: bytes) -> str:
        """The words of 16-bit samples at 16 kHz; empty where there are none."""


@dataclass(frozen=True)
class CapturedSound:
    """The sound of a capture so far, as 16-bit samples, and how many seconds of it are voice.

    The samples may be left out where no event asks for words.
    """

    pcm: bytes
    voiced_seconds: float


@dataclass(frozen=True)
class _Hearing:
    voiced_seconds: float
    words: "Future[str]"

    def covers(self, sound: CapturedSound) -> bool:
        return sound.voiced_seconds - self.voiced_seconds < _NEW_VOICE_SECONDS


@dataclass(frozen=True)
class _HeldSeed:
    seed: Seed
    audio_seconds: float  # the end of the capture, in audio time
    clock_seconds: float  # and on the clock


class SeedRehearing:
    """Gives seeds, and the texts of pauses, the careful recogniser's words. For one thread."""

    def __init__(self, recognizer: WordRecognizer) -> None:
        self._recognizer = recognizer
        self._thread = ThreadPoolExecutor(1, "careful")
        self._hearing: _Hearing | None = None
        self._paused = False  # a Paused waits for its words
        self._held: _HeldSeed | None = None

    def filter(self, events: Iterable[Event], sound: CapturedSound, now: float) -> Iterator[Event]:
        """The events with the careful words; those that wait for words come in a later call.

        Args:
            events: of the recognition, in their order.
            sound: of the capture, up to its end where that is among the events.
            now: audio time, in seconds.
        """
        for event in events:
            match event:
                case Paused():
                    self._hear(sound)
                    self._paused = True
                case Seed():
                    self._hear(sound)
                    self._paused = False
                    self._held = _HeldSeed(event, now, time.monotonic())
                case Resumed() if self._held is not None:
                    self._held = None  # nobody was told of that seed
                case NoSpeech() | VoiceCommand(after_trigger=True):
                    self.drop()
                    yield event
                case _:
                    yield event
        yield from self._ready(sound, now)

    def finish(self) -> Iterator[Event]:
        """The seed that waits for its words, if any: no more sound follows."""
        if self._held is not None:
            yield self._with_words(self._held)

    def drop(self) -> None:
        """Forget a capture."""
        if self._hearing is not None:
            self._hearing.words.cancel()
        self._hearing = self._held = None
        self._paused = False

    def _hear(self, sound: CapturedSound) -> None:
        """Begin to hear the sound, unless that has been done."""
        if self._hearing is not None:
            if self._hearing.covers(sound):
                return
            self._hearing.words.cancel()
        self._hearing = None
        if len(sound.pcm) / 2 / SAMPLE_RATE <= MAX_SECONDS:
            words = self._thread.submit(self._recognizer.hear, sound.pcm)
            self._hearing = _Hearing(sound.voiced_seconds, words)

    def _ready(self, sound: CapturedSound, now: float) -> Iterator[Event]:
        hearing, held = self._hearing, self._held
        if held is not None:
            is_late = now - held.audio_seconds >= WAIT_SECONDS
            if hearing is None or hearing.words.done() or is_late:
                yield self._with_words(held)
        elif self._paused and hearing is not None and hearing.words.done():
            self._paused = False
            if hearing.covers(sound) and (words := self._words(0.0)):
                yield Paused(words)

    def _with_words(self, held: _HeldSeed) -> Seed:
        """The seed with the careful words, if they come in time.

        Sound from a file runs ahead of the clock, so what is left of the time is waited.
        """
        self._held = None
        left = WAIT_SECONDS - (time.monotonic() - held.clock_seconds)
        return replace(held.seed, text=self._words(max(0.0, left)) or held.seed.text)

    def _words(self, wait_seconds: float) -> str:
        """The careful words; empty where there are none in time."""
        if self._hearing is None:
            return ""
        try:
            return self._hearing.words.result(wait_seconds)
        except FutureTimeoutError:
            log.info("the careful recogniser is late; Vosk's words are used")
        except Exception as error:  # whatever it raises, there are other words
            log.warning("the careful recogniser has failed (%s); Vosk's words are used", error)
        return ""
