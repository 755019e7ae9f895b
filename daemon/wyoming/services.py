"""The services of the server: it continues texts (handle) and speaks them (tts)."""

import asyncio
import importlib.metadata
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import numpy as np
import numpy.typing as npt
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled
from wyoming.info import Attribution, HandleModel, HandleProgram, Info, TtsProgram, TtsVoice

from audio.tts.neural.engines import engine_of
from audio.tts.voices import ESPEAK
from config.errors import AfterwordError, DeviceError
from config.languages import sentence_gap
from daemon.control.protocol import SEED_CHARACTERS
from daemon.observers.isolation import log_fault
from daemon.ports import Generator
from daemon.wyoming.events import DisconnectedError, InvalidEventError, Limits

log = logging.getLogger(__name__)

ENGINE_PAGES: Mapping[str, str] = MappingProxyType(
    {
        ESPEAK: "https://github.com/espeak-ng/espeak-ng",
        "hibari": "https://pypi.org/project/hibari-tts/",
        "kokoro": "https://huggingface.co/hexgrad/Kokoro-82M",
        "piper": "https://github.com/OHF-Voice/piper1-gpl",
    }
)
"""The page of each voice engine, by its name."""

_TEXT_CHARACTERS = 10_000  # ten minutes of speech
_CHUNK_SAMPLES = 2048
_SAMPLE_BYTES = 2
_INTERNAL_ERROR = "Afterword has failed because of an error of its own; its log has more."


class Peer(Protocol):
    """The peer that asked, as the services need it. `write` and `send` raise DisconnectedError."""

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
    """Generator and engine, shared by all clients; each serves one client at a time.

    Attributes:
        load_on_cpu: loads the generator on the CPU, after the device of the model has failed.
        limits: what a peer may take.
        places: for texts that are computed or wait for it.
    """

    generator: Generator
    engine: TtsEngine
    info: Info
    load_on_cpu: Callable[[], Generator]
    limits: Limits = field(default_factory=Limits)
    generating: asyncio.Lock = field(default_factory=asyncio.Lock)
    speaking: asyncio.Lock = field(default_factory=asyncio.Lock)
    places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.places = asyncio.Semaphore(self.limits.requests)


def describe(language: str, voice: str) -> Info:
    """The services that the server offers, for the message `info`.

    Args:
        language: the setting `language`.
        voice: the voice in force.
    """
    version = importlib.metadata.version("afterword")
    afterword = Attribution("Afterword", "")
    languages = [language]
    model = HandleModel(
        f"afterword-{language}", afterword, True, "continues a text", version, languages
    )
    program = HandleProgram(
        "afterword", afterword, True, "carries on what is said", version, [model], True
    )
    engine = engine_of(voice)
    maker = Attribution(engine, ENGINE_PAGES.get(engine, ""))
    offered = TtsVoice(voice, maker, True, f"a voice of {engine}", None, languages)
    speaker = TtsProgram("afterword", afterword, True, "the voice of Afterword", version, [offered])
    return Info(handle=[program], tts=[speaker])


async def continue_text(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `transcript`: stream the continuation, a chunk per sentence, then the whole of it.

    Raises:
        InvalidEventError: text or context are of the wrong type.
        DisconnectedError: the peer has left; the generation has ended.
    """
    text, context = _text(event), event.data.get("context")
    if not isinstance(context, dict | None):
        raise InvalidEventError("a context that is not an object", type=event.type, is_read=True)
    seed = text.strip()
    if not any(map(str.isalnum, seed)) or len(seed) > SEED_CHARACTERS:
        message = f"A seed has a word, and at most {SEED_CHARACTERS} characters."
        await peer.write(NotHandled(message, context).event())
        return
    async with peer.place(), shared.generating:
        peer.send(HandledStart(context).event())
        answer = await _stream_sentences(shared, seed, context, peer)
    await peer.write(answer)
    await peer.write(HandledStop().event())


async def _stream_sentences(
    shared: Shared, seed: str, context: dict[str, object] | None, peer: Peer
) -> Event:
    """Send a chunk per sentence; the event that follows them, whatever happens."""
    text = ""
    cancelled = threading.Event()
    try:
        sentences = shared.generator.continue_text(seed, cancelled.is_set)
        while sentence := await asyncio.to_thread(next, sentences, ""):
            chunk = sentence_gap(text, sentence) + sentence
            text += chunk
            peer.send(HandledChunk(chunk).event())
        return Handled(text, context).event()
    except DisconnectedError:
        raise
    except AfterwordError as error:
        if isinstance(error, DeviceError):
            await _compute_on_cpu(shared, error)
        return NotHandled(str(error), context).event()
    except Exception as error:  # a bug must not leave the stream open
        log_fault("A text could not be continued", error)
        return NotHandled(_INTERNAL_ERROR, context).event()
    finally:
        cancelled.set()


async def _compute_on_cpu(shared: Shared, reason: DeviceError) -> None:
    log.warning("%s The model is computed on the CPU.", reason)
    try:
        shared.generator = await asyncio.to_thread(shared.load_on_cpu)
    except AfterwordError as error:
        log.warning("The model could not be loaded on the CPU: %s", error)


async def synthesize(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `synthesize`: stream the speech, piece by piece; `error` where there is none.

    Raises:
        InvalidEventError: the text is of the wrong type.
        DisconnectedError: the peer has left; the rest is not synthesised.
    """
    text = _text(event)
    if len(text) > _TEXT_CHARACTERS:
        message = f"A text to speak has at most {_TEXT_CHARACTERS} characters."
        await peer.write(Error(message, "too-long").event())
        return
    rate = shared.engine.rate
    started = False
    try:
        pieces = shared.engine.stream(text)
        while True:
            # For one piece, so that short texts pass long ones, and slow peers hold up nobody.
            async with peer.place(), shared.speaking:
                _, samples = await asyncio.to_thread(next, pieces, ("", None))
            if not started:
                started = True
                await peer.write(AudioStart(rate, _SAMPLE_BYTES, 1).event())
            if samples is None:
                break
            for chunk in _chunks(samples):
                await peer.write(AudioChunk(rate, _SAMPLE_BYTES, 1, chunk).event())
    except DisconnectedError:
        raise
    except AfterwordError as error:
        await peer.write(Error(str(error), type(error).__name__).event())
    except Exception as error:  # a bug must not leave the peer without an answer
        log_fault("A text could not be spoken", error)
        await peer.write(Error(_INTERNAL_ERROR, "internal").event())
    if started:
        await peer.write(AudioStop().event())


def _text(event: Event) -> str:
    text = event.data.get("text")
    if not isinstance(text, str):
        raise InvalidEventError("a text that is not a string", type=event.type, is_read=True)
    return text


def _chunks(samples: npt.NDArray[np.int16]) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()
