"""The service tts: speaks texts."""

import asyncio
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from config.errors import AfterwordError
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, text_of

_TEXT_CHARACTERS = 10_000  # ten minutes of speech
_CHUNK_SAMPLES = 2048
_SAMPLE_BYTES = 2


async def synthesize(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `synthesize`: stream the speech, piece by piece; `error` where there is none.

    Raises:
        InvalidEventError: the text is of the wrong type.
        DisconnectedError: the peer has left; the rest is not synthesised.
    """
    text = text_of(event)
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
        await peer.write(Error(INTERNAL_ERROR, "internal").event())
    if started:
        await peer.write(AudioStop().event())


def _chunks(samples: npt.NDArray[np.int16]) -> Iterator[bytes]:
    for begin in range(0, len(samples), _CHUNK_SAMPLES):
        yield samples[begin : begin + _CHUNK_SAMPLES].astype("<i2").tobytes()
