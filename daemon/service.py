"""The daemon's loop: source → hearing → session → orders.

The main thread owns all state, so there are no locks.
"""

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Event as HearingEvent
from audio.events import Nothing, Seed, Triggered
from daemon.console import Console
from daemon.ports import AudioSource, Generator, Hearing, Speaker
from daemon.replier import Replier
from daemon.session import (
    CancelReply,
    DropCapture,
    Ended,
    Order,
    ReplyEvent,
    Sentence,
    StartReply,
    State,
    step,
)

log = logging.getLogger(__name__)

REPLY_POLL_SECONDS = 0.05  # how often a waiting loop looks whether it should stop


@dataclass(frozen=True)
class Summary:
    """What happened while the service ran."""

    triggers: int
    replies: int


class Service:
    """Serves one source of sound until it ends or `stop` is called."""

    def __init__(
        self,
        source: AudioSource,
        hearing: Hearing,
        generator: Generator,
        speaker: Speaker,
        console: Console | None = None,
    ) -> None:
        """`console`, where given, is shown the exchange; without it no word leaves the process."""
        self._source = source
        self._hearing = hearing
        self._console = console
        self._inbox: queue.Queue[ReplyEvent] = queue.Queue()
        self._replier = Replier(generator, speaker, self._inbox.put)
        self._state = State()
        self._triggers = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` within a chunk; safe in a signal handler."""
        self._stopping.set()
        self._source.stop()

    def run(self) -> Summary:
        """Serve until `stop` is called or the sound ends.

        Audio is the only clock: every chunk turns this loop once. A file waits while we reply, as a
        polite speaker would; a microphone does not, so the trigger can interrupt.

        Raises:
            AudioDeviceError: the microphone is missing.
            InputError: the file holds no sound.
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        try:
            with self._source.open() as chunks:
                for chunk in chunks:
                    if self._stopping.is_set():
                        break
                    self._hear(self._hearing.feed(chunk))
                if not self._stopping.is_set():
                    self._hear(self._hearing.finish())
        finally:
            self._replier.close()  # speech must not outlive us
            if self._console:
                self._console.end()
        return Summary(self._triggers, self._state.turn)

    def _hear(self, events: Sequence[HearingEvent]) -> None:
        for event in events:
            self._note(event)
            self._advance(event)
            if not self._source.live:
                self._await_reply()
        self._collect()

    def _await_reply(self) -> None:
        """Let the reply that is under way come to its end."""
        while self._state.replying and not self._stopping.is_set():
            self._collect(REPLY_POLL_SECONDS)

    def _collect(self, patience_seconds: float = 0.0) -> None:
        """Take in what the replier has reported, waiting at most so long for the first report."""
        try:
            event = self._inbox.get(patience_seconds > 0, patience_seconds)
            while True:
                self._report(event)
                self._advance(event)
                event = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _advance(self, event: HearingEvent | ReplyEvent) -> None:
        before = self._state.phase
        self._state, orders = step(self._state, event)
        if self._state.phase is not before:
            log.debug("%s -> %s", before.value, self._state.phase.value)
        for order in orders:
            self._obey(order)

    def _obey(self, order: Order) -> None:
        match order:
            case StartReply(turn=turn, seed=seed):
                if self._console:
                    self._console.heard(seed)
                self._replier.start(turn, seed)
            case CancelReply():
                self._replier.cancel()
                if self._console:
                    self._console.end()
            case DropCapture():
                self._hearing.cancel()

    def _note(self, event: HearingEvent) -> None:
        """Log what was heard; the words themselves at debug level only."""
        match event:
            case Triggered(at_seconds=at):
                self._triggers += 1
                log.info("trigger heard at %.1f s", at)
            case Seed(text=text):
                log.info("seed of %d characters heard", len(text))
                log.debug("seed: %s", text)
            case Nothing(reason=reason):
                log.info("nothing heard after the trigger (%s)", reason)
            case _:
                log.debug("%s", event)

    def _report(self, event: ReplyEvent) -> None:
        """Show what the replier has done; replies of earlier, cancelled turns no longer matter."""
        if event.turn != self._state.turn or not self._state.replying:
            return
        match event:
            case Sentence(text=text):
                log.debug("sentence: %s", text)
                if self._console:
                    self._console.spoken(text)
            case Ended(error=error):
                if self._console:
                    self._console.end()
                if error is not None and not self._source.live:
                    raise error
                if error is not None:
                    log.error("%s", error)
