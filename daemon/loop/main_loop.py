"""The daemon's loop: source → hearing → session → orders.

The main thread owns all state, so there are no locks; what other threads have to say goes through
the inbox.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from audio.events import Event as HearingEvent
from audio.pcm import AudioChunk, DigitalSilence
from config.errors import AudioDeviceError, ConfigError
from daemon.control.protocol import Request
from daemon.control.server import Subscriber
from daemon.conversation.conversation import Conversation
from daemon.conversation.publisher import MUTED, OPEN, SILENT, EventPublisher
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import Phase
from daemon.loop.inbox import Inbox, Message, PendingRequest
from daemon.loop.input_state import InputState
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import PendingReloads
from daemon.loop.request_handler import RequestHandler
from daemon.observers.console import Console
from daemon.ports import (
    AudioSource,
    ComponentUpdate,
    Generator,
    Recognition,
    SpeechOutput,
    UpdateRejected,
)

log = logging.getLogger(__name__)

TICK_SECONDS = 0.05  # how often a loop without sound looks whether there is something to do


@dataclass(frozen=True)
class Summary:
    """What happened while the service ran."""

    triggers: int
    replies: int
    interrupted: bool = False


class MainLoop:
    """Serves one source of sound until it ends or `stop` is called."""

    def __init__(
        self,
        source: AudioSource,
        hearing: Recognition,
        generator: Generator,
        speaker: SpeechOutput,
        console: Console | None = None,
        household: LoopOptions | None = None,
    ) -> None:
        """`console`, where given, is shown the exchange; without it no word leaves the process."""
        self._household = home = household or LoopOptions()
        self._inbox = Inbox()
        self._intake = InputState(source, muted=home.muted, patient=home.patient)
        self._chronicle = EventPublisher(console, home.keepers)
        self._replier = Responder(generator, speaker, self._inbox.put)
        self._conversation = Conversation(
            hearing, self._replier, self._chronicle, home.follow_up_seconds, live=source.live
        )
        self._reloads = PendingReloads(home.reload, home.notifier.reloading, home.about)
        self._answers = RequestHandler(
            self._conversation,
            self._replier,
            self._intake,
            self._reloads,
            self._chronicle,
            home,
            self.stop,
        )
        self._heard_out = False  # the source has come to its end
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` within a chunk; safe in a signal handler."""
        self._stopping.set()
        self._intake.source.stop()

    def reload(self) -> None:
        """Look at settings and weights again; safe in a signal handler."""
        self._reloads.wanted = True

    def change(self, change: ComponentUpdate | UpdateRejected) -> None:
        """Go on with new parts as soon as no turn is disturbed; for any thread but the loop's."""
        self._inbox.put(change)

    def ask(self, request: Request, follower: Subscriber | None = None) -> Mapping[str, object]:
        """Let the loop answer a request; for any thread but the loop's.

        Raises:
            AfterwordError: what the command line shall say and how it shall exit.
        """
        return self._inbox.ask(request, follower)

    def run(self) -> Summary:
        """Serve until `stop` is called or the sound ends.

        Audio is the only clock: every chunk turns this loop once. A file waits while we reply, as a
        polite speaker would; a microphone does not, so the trigger can interrupt.

        Raises:
            AudioDeviceError: the microphone is missing, and we are not patient.
            InputError: the file holds no sound.
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        try:
            while not (self._stopping.is_set() or self._heard_out):
                if self._intake.muted:
                    self._idle(MUTED, float("inf"))
                elif problem := self._listen():
                    self._idle(problem, self._intake.retry_seconds)
        finally:
            self._household.notifier.stopping()
            self._replier.close()  # speech must not outlive us
            self._inbox.close()
            self._reloads.close()
            self._chronicle.end()
        interrupted = self._stopping.is_set()
        return Summary(self._chronicle.triggers, self._chronicle.replies, interrupted)

    def _listen(self) -> str | None:
        """Hear the source until it ends, is muted or another takes its place.

        Returns:
            why there is no sound, or no more.
        """
        intake = self._intake
        intake.attempts += 1
        try:
            with intake.source.open() as chunks:
                intake.patient = True  # what was there once may come back
                self._hear_all(chunks)
        except (AudioDeviceError, ConfigError) as error:
            if not (intake.patient and intake.source.live):
                raise
            return str(error)
        return None

    def _hear_all(self, chunks: Iterator[AudioChunk]) -> None:
        intake, source, silence = self._intake, self._intake.source, DigitalSilence()
        try:
            for chunk in chunks:
                if self._stopping.is_set():
                    return
                if chunk.pcm:
                    intake.attempts = 0
                    silence.feed(chunk)
                    self._hear(self._conversation.feed(chunk))
                    self._chronicle.sounded(chunk)
                given = SILENT if silence.lasts else OPEN
                self._turn(intake.state if intake.attempts else given)
                if intake.muted or intake.source is not source:
                    return
        except AudioDeviceError:
            if source.live:
                self._hear(self._conversation.finish())  # what was said until it went away
            raise
        if not self._stopping.is_set():
            self._hear(self._conversation.finish())
            self._heard_out = True

    def _hear(self, events: Sequence[HearingEvent]) -> None:
        for event in events:
            self._conversation.hear(event)
            if not self._intake.source.live:
                self._await_reply()

    def _await_reply(self) -> None:
        """Let the reply that is under way come to its end."""
        while self._conversation.state.replying and not self._stopping.is_set():
            self._collect(TICK_SECONDS)

    def _idle(self, microphone: str, seconds: float) -> None:
        """Serve without a microphone for a while, or until it or being muted changes."""
        intake, end = self._intake, time.monotonic() + seconds
        before = (intake.muted, intake.source)
        while not self._stopping.is_set() and time.monotonic() < end:
            self._turn(microphone, TICK_SECONDS)
            if (intake.muted, intake.source) != before:
                return

    def _turn(self, microphone: str, patience_seconds: float = 0.0) -> None:
        """What each turn of the loop does beside hearing.

        Only from here is the watchdog fed: a loop that is stuck, in whatever, is silent.
        """
        self._collect(patience_seconds)
        self._renew()
        self._note(microphone)
        if self._conversation.state.replying:
            self._chronicle.sounding(self._conversation.state.turn, self._replier.sounding)
        self._chronicle.turn()
        notifier = self._household.notifier
        notifier.status(self._answers.in_words())
        if not self._reloads.under_way:
            notifier.ready()
        if self._replier.well:
            notifier.alive()

    def _note(self, microphone: str) -> None:
        """Tell what has become of the microphone."""
        if microphone == self._intake.state:
            return
        self._chronicle.microphone(self._intake.state, microphone)
        if self._intake.become(microphone):
            phrases = cast(Iterable[str], self._reloads.about.get("phrases", ()))
            self._household.opened(phrases)

    def _renew(self) -> None:
        """Begin a reload that a signal asked for; take in the parts that are ready."""
        self._reloads.begin_wanted()
        # What is being said is for the hearing that has heard its beginning.
        if self._conversation.state.phase is not Phase.CAPTURING:
            for change in self._reloads.changes():
                self._take(change)

    def _take(self, change: ComponentUpdate) -> None:
        self._conversation.take(change)
        if change.source is not None:
            self._intake.replace(change.source)
        if change.keepers is not None:
            self._chronicle.keep(change.keepers)
        log.info("%s", change.told)
        self._chronicle.renewed(change.told)

    def _collect(self, patience_seconds: float = 0.0) -> None:
        """Take in what came from other threads, waiting at most so long for the first of it."""
        for message in self._inbox.take(patience_seconds):
            self._receive(message)

    def _receive(self, message: Message) -> None:
        match message:
            case PendingRequest():
                self._answers.answer(message)
            case ComponentUpdate():
                self._reloads.add(message)
            case UpdateRejected(reason=reason):
                self._reloads.refused = reason
                log.error("%s", reason)
                self._chronicle.refused(reason)
            case _:
                self._conversation.replied(message)
