"""The conversation: what is heard goes through the session's table, and its orders are obeyed."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from audio.events import Event as HearingEvent
from audio.events import Partial
from audio.pcm import CHUNK_SECONDS, AudioChunk
from audio.turn.resumption import FinalSeedFilter
from daemon.conversation.publisher import EventPublisher
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import (
    CancelCapture,
    CancelReply,
    Ended,
    Order,
    PauseReply,
    Phase,
    PlayCue,
    PrepareReply,
    ReplyEvent,
    Sentence,
    StartReply,
    State,
    UserEvent,
    step,
)
from daemon.ports import ComponentUpdate, Recognition

REPLY_PAUSE_SECONDS = 1.2  # a reply is silent for so long where a trigger may be on its way
ECHO_SECONDS = 0.5  # after a reply, in which a room still sounds of it
RECENT_SECONDS = 1.6  # what a new hearing hears again, lest a phrase half said be lost


class Conversation:
    """Hearing, session and replier together; owned by the loop.

    Attributes:
        state: where it stands.
    """

    def __init__(
        self,
        hearing: Recognition,
        replier: Responder,
        chronicle: EventPublisher,
        follow_up_seconds: float,
        *,
        live: bool,
    ) -> None:
        """`live` tells that time passes by itself (a microphone), and does not wait (a file)."""
        self.state = State()
        self._hearing = hearing
        self._replier = replier
        self._chronicle = chronicle
        self._follow_up_seconds = follow_up_seconds
        self._live = live
        self._recent: deque[AudioChunk] = deque(maxlen=round(RECENT_SECONDS / CHUNK_SECONDS))
        self._heard = (0.0, 0.0)  # audio time at the end of the newest chunk, and when it came
        self._follow_up_until = 0.0  # audio time
        self._own_until = 0.0  # monotonic time at which the loudspeaker is heard no more
        self._patience = FinalSeedFilter()
        self._speaks_on = False

    def feed(self, chunk: AudioChunk) -> Sequence[HearingEvent]:
        """Hear one more chunk; `hear` is to be given what comes of it."""
        self._recent.append(chunk)
        self._heard = chunk.end_seconds, time.monotonic()
        # Phrases without a trigger are listened to while they mean something.
        waits = self._heard[0] < self._follow_up_until and self.state.phase is Phase.LISTENING
        commands, playing = self.state.replying or waits, self._own_sounds()
        events = self._hearing.feed(chunk, commands=commands, playing=playing)
        return self._note(self._settled(events))

    def _own_sounds(self) -> bool:
        if self.state.replying and self._replier.sounds:
            self._own_until = time.monotonic() + ECHO_SECONDS
        return time.monotonic() < self._own_until

    def _settled(self, events: Sequence[HearingEvent]) -> Sequence[HearingEvent]:
        """A microphone's user may have a reply broken off; a file has time to be sure."""
        return events if self._live else self._patience.filter(events, self._heard[0])

    def finish(self) -> Sequence[HearingEvent]:
        """The sound has ended; `hear` is to be given what a capture holds so far."""
        events = self._settled(self._hearing.finish())
        return self._note([*events, *self._patience.finish()])

    def _note(self, events: Sequence[HearingEvent]) -> Sequence[HearingEvent]:
        # Who speaks on after the trigger needs no cue, and must not be disturbed by one.
        self._speaks_on = any(isinstance(event, Partial) for event in events)
        return events

    def hear(self, event: HearingEvent) -> None:
        """Go on with what was heard."""
        self._chronicle.heard(event)
        at = self._when(getattr(event, "at_seconds", None)) or time.monotonic()
        self.state = replace(self.state, sounding=self._replier.heard_about(at))
        self.advance(event)

    def replied(self, event: ReplyEvent) -> None:
        """Go on with what the replier has done.

        Raises:
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        if event.turn == self.state.turn and self.state.replying:
            self._report(event)
        if isinstance(event, Ended):  # also of earlier, cancelled turns
            self._chronicle.timed(event)
        self.advance(event)

    def _report(self, event: ReplyEvent) -> None:
        match event:
            case Sentence():
                self._chronicle.spoken(event)
            case Ended(error=error):
                if error is not None and not self._live:
                    raise error
                self._chronicle.ended(event)

    def take(self, change: ComponentUpdate) -> None:
        """Go on with new parts; a reply under way comes to its end with the old ones."""
        if change.hearing is not None:
            for chunk in self._recent:
                change.hearing.feed(chunk, commands=False, playing=False)
            change.hearing.cancel()
            self._hearing = change.hearing
        if change.generator is not None or change.speak_anew is not None:
            self._replier.renew(change.generator, change.speak_anew)
        if change.follow_up_seconds is not None:
            self._follow_up_seconds = change.follow_up_seconds

    def advance(self, event: HearingEvent | ReplyEvent | UserEvent) -> None:
        """Let an event have its effects."""
        before = self.state.phase
        self.state, orders = step(self.state, event)
        if self.state.phase is not before:
            self._chronicle.moved(before, self.state.phase)
            if self.state.phase is Phase.LISTENING:
                self._replier.discard()
                self._follow_up_until = self._heard[0] + self._follow_up_seconds
        for order in orders:
            self._obey(order)

    def _obey(self, order: Order) -> None:
        match order:
            case PrepareReply(seed=seed):
                if self._live:  # a file has no time to gain
                    self._replier.prepare(seed)
            case StartReply(turn=turn, seed=seed, voice_seconds=voice, sentences=sentences):
                self._chronicle.began(turn, seed)
                self._replier.start(turn, seed, self._when(voice), sentences)
            case PauseReply():
                self._replier.hold(REPLY_PAUSE_SECONDS)
            case PlayCue(name=name):
                if not (name == "trigger" and self._speaks_on):
                    self._replier.cue(name)
            case CancelReply():
                self._replier.cancel()
                self._chronicle.cancelled()
            case CancelCapture():
                self._hearing.cancel()

    def _when(self, audio_seconds: float | None) -> float | None:
        """The monotonic time at which the microphone gave this moment."""
        if audio_seconds is None or not self._live:
            return None
        end, came = self._heard
        return came - (end - audio_seconds)
