"""The service handle: continues texts."""

import asyncio
import logging
import threading

from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled

from config.errors import AfterwordError, DeviceError
from config.languages import sentence_gap
from daemon.control.protocol import SEED_CHARACTERS
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError, InvalidEventError
from daemon.wyoming.services.shared import INTERNAL_ERROR, Peer, Shared, text_of

log = logging.getLogger(__name__)


async def continue_text(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `transcript`: stream the continuation, a chunk per sentence, then the whole of it.

    Raises:
        InvalidEventError: text or context are of the wrong type.
        DisconnectedError: the peer has left; the generation has ended.
    """
    text, context = text_of(event), event.data.get("context")
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
        return NotHandled(INTERNAL_ERROR, context).event()
    finally:
        cancelled.set()


async def _compute_on_cpu(shared: Shared, reason: DeviceError) -> None:
    log.warning("%s The model is computed on the CPU.", reason)
    try:
        shared.generator = await asyncio.to_thread(shared.load_on_cpu)
    except AfterwordError as error:
        log.warning("The model could not be loaded on the CPU: %s", error)
