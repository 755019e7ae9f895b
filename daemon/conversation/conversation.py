"""The conversation: events go through the state machine, and its orders are carried out."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from audio.events import Event as RecognitionEvent
from audio.events import Partial, Seed
from audio.pcm import CHUNK_SECONDS, AudioChunk
from audio.turn.resumption import FinalSeedFilter
from daemon.conversation.audio_clock import AudioClock
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
from daemon.ports import ComponentUpdate, Recognition, SpeechOutput

REPLY_PAUSE_SECONDS = 1.2  # a reply pauses for so long if a trigger phrase is suspected
ECHO_SECONDS = 0.5  # reverberation after a reply
# A phrase that was recognised now may have sounded in this window before and after the moment: it
# takes a phrase and a second of delay, and sound may be earlier than computed.
ECHO_BEFORE_SECONDS, ECHO_AFTER_SECONDS = 2.2, 0.4
RECENT_SECONDS = 1.6  # fed again to a new recognition, so that a phrase half said is not lost


class Conversation:
    """Joins recognition, state machine and responder; for the loop's thread.

    Attributes:
        state: the state of the state machine.
    """

    def __init__(
        self,
        recognition: Recognition,
        responder: Responder,
        speech: SpeechOutput,
        publisher: EventPublisher,
        follow_up_seconds: float,
        clock: AudioClock,
    ) -> None:
        """Join the components.

        `follow_up_seconds` after a reply "go on" and "again" need no trigger phrase. `clock` gives
        the times of the chunks.
        """
        self.state = State()
        self._recognition = recognition
        self._responder = responder
        self._speech = speech
        self._publisher = publisher
        self._follow_up_seconds = follow_up_seconds
        self._clock = clock
        self._recent: deque[AudioChunk] = deque(maxlen=round(RECENT_SECONDS / CHUNK_SECONDS))
        self._follow_up_until = 0.0  # audio time
        self._echo_until = 0.0  # monotonic time at which the reverberation is over
        self._final_seeds = FinalSeedFilter()
        self._user_is_speaking = False

    def feed(self, chunk: AudioChunk) -> Sequence[RecognitionEvent]:
        """Recognise speech in one more chunk; the caller gives each event to `on_recognised`."""
        self._recent.append(chunk)
        # Commands without a trigger phrase are recognised only while they mean something.
        is_follow_up = chunk.end_seconds < self._follow_up_until
        waits = is_follow_up and self.state.phase is Phase.LISTENING
        commands, playing = self.state.replying or waits, self._is_playing()
        events = self._recognition.feed(chunk, commands=commands, playing=playing)
        return self._note_speech(self._final(events))

    def _is_playing(self) -> bool:
        """True while the loudspeaker may be in the microphone's sound."""
        if self.state.replying and self._speech.started_at is not None:
            self._echo_until = time.monotonic() + ECHO_SECONDS
        return time.monotonic() < self._echo_until

    def _final(self, events: Sequence[RecognitionEvent]) -> Sequence[RecognitionEvent]:
        """A reply to a microphone can be cancelled; a file waits until the seed is final."""
        return events if self._clock.live else self._final_seeds.filter(events, self._clock.now)

    def finish(self) -> Sequence[RecognitionEvent]:
        """The sound has ended; the caller gives the last events to `on_recognised`."""
        events = self._final(self._recognition.finish())
        return self._note_speech([*events, *self._final_seeds.finish()])

    def _note_speech(self, events: Sequence[RecognitionEvent]) -> Sequence[RecognitionEvent]:
        # A user who speaks on after the trigger phrase needs no cue, and would be disturbed by it.
        self._user_is_speaking = any(isinstance(event, Partial) for event in events)
        return events

    def on_recognised(self, event: RecognitionEvent) -> None:
        """Advance by an event of the recognition."""
        self._publisher.on_recognised(event)
        if isinstance(event, Partial) and self._clock.live:  # a file has no time to gain
            self._responder.read_ahead(event.text)
        self.state = replace(self.state, playing_words=self._playing_words(event))
        self.advance(event)

    def _playing_words(self, event: RecognitionEvent) -> str:
        """The words of the loudspeaker that may be in what was recognised."""
        seconds = (
            event.end_seconds if isinstance(event, Seed) else getattr(event, "at_seconds", None)
        )
        at = self._clock.monotonic(seconds) or time.monotonic()
        if isinstance(event, Seed) and not self._sounded_until(at):
            return ""  # the user spoke on after the reply, whose echo would have ended with it
        return self._speech.words_between(at - ECHO_BEFORE_SECONDS, at + ECHO_AFTER_SECONDS)

    def _sounded_until(self, at: float) -> bool:
        """True if the loudspeaker was in the microphone at that monotonic time."""
        return self._clock.live and bool(self._speech.words_between(at - ECHO_SECONDS, at))

    def on_reply(self, event: ReplyEvent) -> None:
        """Advance by an event of the responder.

        Raises:
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        if event.turn == self.state.turn and self.state.replying:
            self._report(event)
        if isinstance(event, Ended):  # also of earlier, cancelled turns
            self._publisher.on_timings(event)
        self.advance(event)

    def _report(self, event: ReplyEvent) -> None:
        match event:
            case Sentence():
                self._publisher.on_sentence(event)
            case Ended(error=error):
                if error is not None and not self._clock.live:
                    raise error
                self._publisher.on_reply_ended(event)

    def apply(self, update: ComponentUpdate) -> None:
        """Use new components from now on; a reply in progress ends with the old ones."""
        if update.recognition is not None:
            for chunk in self._recent:
                update.recognition.feed(chunk, commands=False, playing=False)
            update.recognition.cancel()
            self._recognition = update.recognition
        if update.generator is not None or update.reconfigure_speech is not None:
            self._responder.reconfigure(update.generator, update.reconfigure_speech)
        if update.follow_up_seconds is not None:
            self._follow_up_seconds = update.follow_up_seconds

    def advance(self, event: RecognitionEvent | ReplyEvent | UserEvent) -> None:
        """Give an event to the state machine and carry out its orders."""
        before = self.state.phase
        self.state, orders = step(self.state, event)
        if self.state.phase is not before:
            self._publisher.on_state(before, self.state.phase)
            if self.state.phase is Phase.LISTENING:
                self._responder.discard()
                self._follow_up_until = self._clock.now + self._follow_up_seconds
        for order in orders:
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        match order:
            case PrepareReply(seed=seed):
                if self._clock.live:  # a file has no time to gain
                    self._responder.prepare(seed)
            case StartReply(turn=turn, seed=seed, voice_seconds=voice, sentences=sentences):
                self._responder.start(turn, seed, self._clock.monotonic(voice), sentences)
                self._publisher.on_reply_started(turn, seed)
            case PauseReply():
                self._speech.pause(REPLY_PAUSE_SECONDS)
            case PlayCue(name=name):
                if not (name == "trigger" and self._user_is_speaking):
                    self._responder.cue(name)
            case CancelReply():
                self._responder.cancel()
                self._publisher.on_reply_cancelled()
            case CancelCapture():
                self._recognition.cancel()
