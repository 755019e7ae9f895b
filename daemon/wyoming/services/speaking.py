"""The service tts: speaks texts."""

import asyncio
from collections.abc import Iterator

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from audio.pcm import Samples
from config.errors import AfterwordError
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, text_of

_CHUNK_SAMPLES = 2048
_SAMPLE_BYTES = 2
_SILENCE_SECONDS = 0.2  # in place of a text without sound


async def synthesize(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `synthesize`: stream the speech, piece by piece.

    Where there is none, because the text has no sound or the voice fails, a moment of silence takes
    its place: Home Assistant takes speech without samples for an error of its own, and waits for
    the end of the speech also after an `error`.

    Raises:
        InvalidEventError: the text is of the wrong type.
        DisconnectedError: the peer has left; the rest is not synthesised.
    """
    speech = _Speech(peer, shared.engine.rate)
    await _speak(shared, text_of(event), speech)
    await speech.end()


class _Speech:
    """The sound of one answer, from `audio-start` to `audio-stop`; its methods raise as Peer's."""

    def __init__(self, peer: Peer, rate: int) -> None:
        self.peer = peer
        self._rate = rate
        self._is_begun = self._is_heard = False

    async def play(self, samples: Samples) -> None:
        """Send samples, in chunks."""
        if not self._is_begun:
            self._is_begun = True
            await self.peer.write(AudioStart(self._rate, _SAMPLE_BYTES, 1).event())
        for chunk in _chunks(samples):
            self._is_heard = True
            await self.peer.write(AudioChunk(self._rate, _SAMPLE_BYTES, 1, chunk).event())

    async def end(self) -> None:
        """End the sound, after a moment of silence if there was none."""
        if not self._is_heard:
            await self.play(np.zeros(round(_SILENCE_SECONDS * self._rate), np.int16))
        await self.peer.write(AudioStop().event())


async def refuse_speech(shared: Shared, message: str, code: str, peer: Peer) -> None:
    """Answer a text that is not spoken with `error`, and end its speech."""
    await peer.write(Error(message, code).event())
    await _Speech(peer, shared.engine.rate).end()


async def _speak(shared: Shared, text: str, speech: _Speech) -> None:
    """Speak a text; a failure is told."""
    try:
        pieces = shared.engine.stream(text)
        while True:
            # For one piece, so that short texts pass long ones, and slow peers hold up nobody.
            async with speech.peer.place(), shared.speaking:
                _, samples = await asyncio.to_thread(next, pieces, ("", None))
            if samples is None:
                return
            await speech.play(samples)
    except DisconnectedError:
        raise
    except AfterwordError as error:
        await speech.peer.write(Error(str(error), type(error).__name__).event())
    except Exception as error:  # a bug must not leave the peer without an answer
        log_fault("A text could not be spoken", error)
        await speech.peer.write(Error(INTERNAL_ERROR, "internal").event())


def _chunks(samples: Samples) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()
