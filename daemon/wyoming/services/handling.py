"""The service handle: continues texts, and follows commands such as "go on"."""

import asyncio
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled

from audio.events import Seed, VoiceCommand
from config.errors import AfterwordError, DeviceError
from config.languages import end_of_text, sentence_gap
from daemon.conversation.state_machine import CONTEXT_CHARACTERS, StartReply
from daemon.observers.isolation import log_fault
from daemon.wyoming.events import DisconnectedError, InvalidEventError
from daemon.wyoming.services.answers import ANSWERS
from daemon.wyoming.services.conversations import Conversation, conversation_id
from daemon.wyoming.services.info import LANGUAGE_NAMES
from daemon.wyoming.services.languages import find_language, guess_language
from daemon.wyoming.services.shared import Peer, Shared, text_of

log = logging.getLogger(__name__)

Context = dict[str, object] | None


async def continue_text(shared: Shared, event: Event, peer: Peer) -> None:
    """Answer `transcript`: stream the continuation, a chunk per sentence, then the whole of it.

    A command ("go on", "again", "never mind", "stop") acts on the conversation that the context
    names, as by voice; one that begins no reply is answered in words.

    Raises:
        InvalidEventError: text or context are of the wrong type.
        DisconnectedError: the peer has left; the generation has ended.
    """
    text, context = text_of(event).strip(), _context_of(event)
    language = _language_of(event, text, shared.offer.languages)
    if language is None:
        names = " and ".join(LANGUAGE_NAMES[code] for code in shared.offer.languages)
        message = f"Sorry, I speak {names} only."
        await peer.write(NotHandled(message, context).event())
        return
    if not any(map(str.isalnum, text)):
        await peer.write(NotHandled(ANSWERS[language].no_words, context).event())
        return
    heard = shared.offer.commands[language].event(end_of_text(text, CONTEXT_CHARACTERS), 0.0)
    name = conversation_id(context)
    conversation = shared.conversations.find(name) if name else peer.conversation
    start = conversation.begin(heard)
    if isinstance(heard, Seed):
        conversation.language = language
    if start is None:
        kind = heard.kind if isinstance(heard, VoiceCommand) else ""
        await _answer(ANSWERS[language].to_command(kind), context, peer)
    else:
        await _reply(shared, _Reply(conversation, start), context, peer)


@dataclass
class _Reply:
    """One reply of a conversation.

    Attributes:
        cancelled: set when it is no longer wanted; the conversation has another one by then.
    """

    conversation: Conversation
    start: StartReply
    language: str = field(init=False)
    cancelled: threading.Event = field(init=False)

    def __post_init__(self) -> None:
        self.language = self.conversation.language
        self.cancelled = self.conversation.cancelled

    async def sentences(self, shared: Shared) -> Iterator[str]:
        """The sentences that are said again, or those of a continuation, to be drawn in threads.

        Raises:
            AfterwordError: the weights of the language cannot be loaded.
        """
        if self.start.sentences:
            return iter(self.start.sentences)
        generator = await shared.generator(self.language)
        return generator.continue_text(self.start.seed, self.cancelled.is_set)


async def _answer(text: str, context: Context, peer: Peer) -> None:
    """Say one short sentence."""
    await peer.write(HandledStart(context).event())
    await peer.write(HandledChunk(text).event())
    await peer.write(Handled(text, context).event())
    await peer.write(HandledStop().event())


async def _reply(shared: Shared, reply: _Reply, context: Context, peer: Peer) -> None:
    """Stream a reply; the conversation learns of every sentence, and of the end in any case."""
    try:
        async with peer.place(), shared.generating:
            peer.send(HandledStart(context).event())
            answer = await _stream_sentences(shared, reply, context, peer)
    finally:
        reply.conversation.end(reply.start.turn)
    await peer.write(answer)
    await peer.write(HandledStop().event())


async def _stream_sentences(shared: Shared, reply: _Reply, context: Context, peer: Peer) -> Event:
    """Send a chunk per sentence; the event that follows them, whatever happens."""
    text, before, answers = "", "", ANSWERS[reply.language]
    try:
        sentences = await reply.sentences(shared)
        while sentence := await asyncio.to_thread(next, sentences, ""):
            reply.conversation.say(reply.start.turn, sentence)
            chunk = sentence_gap(before, sentence) + sentence
            text, before = text + chunk, sentence
            peer.send(HandledChunk(chunk).event())
        if text:
            return Handled(text, context).event()
        answer = answers.agreed if reply.cancelled.is_set() else answers.no_idea
        return NotHandled(answer, context).event()
    except DisconnectedError:
        raise
    except AfterwordError as error:
        if isinstance(error, DeviceError):
            await _compute_on_cpu(shared, reply.language, error)
        else:
            log.error("%s", error)
        return NotHandled(answers.failed, context).event()
    except Exception as error:  # a bug must not leave the stream open
        log_fault("A text could not be continued", error)
        return NotHandled(answers.failed, context).event()
    finally:
        reply.cancelled.set()


async def _compute_on_cpu(shared: Shared, language: str, reason: DeviceError) -> None:
    log.warning("%s The model is computed on the CPU.", reason)
    try:
        shared.generators[language] = await asyncio.to_thread(
            shared.source.load_generator, language, "cpu"
        )
    except AfterwordError as error:
        log.warning("The model could not be loaded on the CPU: %s", error)


def _language_of(event: Event, text: str, offered: Sequence[str]) -> str | None:
    """The language that an event names, or else that of its text; None if it is not offered."""
    tag = event.data.get("language")
    if isinstance(tag, str) and tag.strip():
        return find_language(tag, offered)
    return guess_language(text, offered)


def _context_of(event: Event) -> Context:
    context = event.data.get("context")
    if not isinstance(context, dict | None):
        raise InvalidEventError("a context that is not an object", type=event.type, is_read=True)
    return context
