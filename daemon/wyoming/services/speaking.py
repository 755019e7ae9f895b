"""The service tts: speaks texts."""

import asyncio
import contextlib
from collections.abc import Iterator

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.tts import SynthesizeStopped

from audio.pcm import Samples
from audio.tts.sound import RATE
from config.errors import AfterwordError, RefusedError
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, text_of
from daemon.wyoming.services.voices import Wish
from model.text.sentences import SentenceSplitter

_CHUNK_SAMPLES = 2048
_SAMPLE_BYTES = 2
_SILENCE_SECONDS = 0.2  # in place of a text without sound
_QUOTATION_MARKS = ("'", '"', "”", "’", ")")
_UNSPOKEN_CHARACTERS = 1000  # of a text in parts without the end of a sentence, which wait for one


async def synthesize(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `synthesize`: stream the speech, piece by piece.

    Where there is none, because the text has no sound or the voice fails, a moment of silence takes
    its place: Home Assistant takes speech without samples for an error of its own, and waits for
    the end of the speech also after an `error`.

    Raises:
        InvalidEventError: the text is of the wrong type.
        DisconnectedError: the peer has left; the rest is not synthesised.
    """
    text, speech = text_of(event), _Speech(peer)
    voice = await _voice_for(shared, event, text, peer)
    if voice is not None:
        await _speak(shared, voice, text, speech)
    await speech.end()


async def _voice_for(shared: Shared, event: Event, text: str, peer: Peer) -> str | None:
    """The voice for a text; None where that of the event is refused, which is told."""
    try:
        return shared.offer.voices.choose(Wish.of(event.data), text)
    except RefusedError as error:
        await peer.write(Error(str(error), "no-voice").event())
        return None


class SpeechStream:
    """A text that comes in parts and is spoken sentence by sentence, each as soon as it is whole.

    Its sound is one, from `audio-start` to `audio-stop`; then `synthesize-stopped` is sent.
    """

    def __init__(self, shared: Shared, start: Event, peer: Peer) -> None:
        """`start` is the event `synthesize-start`."""
        self._shared = shared
        self._start = start
        self._peer = peer
        self._sentences = SentenceSplitter()
        self._speech = _Speech(peer)
        self._voice: str | None = None  # chosen for the first sentence
        self._is_refused = False  # what follows is read and answered all the same

    async def begin(self) -> None:
        """Answer `synthesize-start`: nothing, unless too many texts are in hand."""
        if self._shared.places.locked():
            self._is_refused = True
            message = ANSWERS[self._shared.default_language].busy
            await self._peer.write(Error(message, "busy").event())

    async def feed(self, event: Event) -> None:
        """Answer `synthesize-chunk`: speak the sentences that it completes.

        Raises:
            InvalidEventError: the text is of the wrong type.
            DisconnectedError: the peer has left.
        """
        text = text_of(event)
        if self._is_refused:
            return
        for sentence in self._sentences.feed(text):
            await self._say(sentence)
        buffered = self._sentences.buffered
        # Of a long one there is not a mark in all of it.
        if _is_whole(buffered) or len(buffered) > _UNSPOKEN_CHARACTERS:
            await self._say_rest()

    async def finish(self) -> None:
        """Answer `synthesize-stop`: speak the rest, and end the sound and the stream."""
        await self._say_rest()
        await self._speech.end()
        await self._peer.write(SynthesizeStopped().event())

    async def _say_rest(self) -> None:
        if rest := self._sentences.rest():
            await self._say(rest)
        self._sentences = SentenceSplitter()

    async def _say(self, sentence: str) -> None:
        if self._voice is None and not self._is_refused:
            self._voice = await _voice_for(self._shared, self._start, sentence, self._peer)
            self._is_refused = self._voice is None
        if self._voice is None:
            return
        if self._speech.is_heard:
            await self._speech.play_silence(self._shared.offer.pause_seconds)
        await _speak(self._shared, self._voice, sentence, self._speech)


def _is_whole(text: str) -> bool:
    """True for a sentence with a blank behind it, whatever follows; false behind "Mr." and quotes.

    A quotation may go on: "Why?" asked the fox.
    """
    if not text[-1:].isspace() or text.rstrip()[-1:] in _QUOTATION_MARKS:
        return False
    return all(SentenceSplitter().feed(text + following) for following in "A1")


class _Speech:
    """The sound of one answer, from `audio-start` to `audio-stop`; its methods raise as Peer's.

    Attributes:
        peer: who hears it.
        is_heard: whether any samples were sent.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._is_begun = self.is_heard = False

    async def play(self, samples: Samples) -> None:
        """Send samples, in chunks."""
        if not self._is_begun:
            self._is_begun = True
            await self.peer.write(AudioStart(RATE, _SAMPLE_BYTES, 1).event())
        for chunk in _chunks(samples):
            self.is_heard = True
            await self.peer.write(AudioChunk(RATE, _SAMPLE_BYTES, 1, chunk).event())

    async def play_silence(self, seconds: float) -> None:
        """Send so many seconds of zeros."""
        await self.play(np.zeros(round(seconds * RATE), np.int16))

    async def end(self) -> None:
        """End the sound, after a moment of silence if there was none."""
        if not self.is_heard:
            await self.play_silence(_SILENCE_SECONDS)
        await self.peer.write(AudioStop().event())


async def refuse_speech(message: str, code: str, peer: Peer) -> None:
    """Answer a text that is not spoken with `error`, and end its speech."""
    await peer.write(Error(message, code).event())
    await _Speech(peer).end()


async def _speak(shared: Shared, voice: str, text: str, speech: _Speech) -> None:
    """Speak a text; a failure is told."""
    try:
        async with contextlib.AsyncExitStack() as held:
            async with speech.peer.place():
                engine = await held.enter_async_context(shared.engines.use(voice))
            await _play_pieces(shared, engine.stream(text), speech)
    except DisconnectedError:
        raise
    except AfterwordError as error:
        await speech.peer.write(Error(str(error), type(error).__name__).event())
    except Exception as error:  # a bug must not leave the peer without an answer
        log_fault("A text could not be spoken", error)
        await speech.peer.write(Error(INTERNAL_ERROR, "internal").event())


async def _play_pieces(
    shared: Shared, pieces: Iterator[tuple[str, Samples]], speech: _Speech
) -> None:
    while True:
        # For one piece, so that short texts pass long ones, and slow peers hold up nobody.
        async with speech.peer.place(), shared.speaking:
            _, samples = await asyncio.to_thread(next, pieces, ("", None))
        if samples is None:
            return
        await speech.play(samples)


def _chunks(samples: Samples) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()
