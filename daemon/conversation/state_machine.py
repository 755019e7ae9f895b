"""The state machine of the conversation: a pure table of (state, event) → (state, orders).

It opens nothing, waits for nothing and reads no clock, so that tests can walk through it.

    LISTENING ─Triggered→ CAPTURING ─Seed→ THINKING ─Sentence→ SPEAKING ─Ended→ LISTENING
    CAPTURING ─Paused→ CAPTURING, and a preemptive reply to the words so far is begun
    CAPTURING ─NoSpeech, "never mind" or a Seed that is an echo→ LISTENING
    THINKING or SPEAKING ─TriggerSuspected→ the same, and playback pauses for a moment
    THINKING or SPEAKING ─Triggered→ CAPTURING, and the reply is cancelled (barge-in)
    THINKING or SPEAKING ─Resumed→ CAPTURING, and the reply, which came too early, is cancelled
    THINKING or SPEAKING ─StopRequested or "stop"→ LISTENING, CAPTURING ─Muted→ LISTENING
    LISTENING or CAPTURING ─"go on" or "again"→ THINKING, any ─SeedTyped→ THINKING

Every reply carries the number of its turn, so that the late end of a cancelled reply cannot end the
next one. An event that does not fit the state changes nothing.
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from audio.events import Event as RecognitionEvent
from audio.events import NoSpeech, Paused, Resumed, Seed, Triggered, TriggerSuspected, VoiceCommand
from audio.phrases import says
from config.languages import end_of_text, join_sentences
from daemon.timings import TurnTimings

CONTEXT_CHARACTERS = 2000  # of a text that goes on; the model reads less


class Phase(Enum):
    """What the daemon is doing, in the word that users see."""

    LISTENING = "listening"
    CAPTURING = "capturing"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True)
class State:
    """The state of the conversation.

    Attributes:
        turn: number of the newest reply, 0 before the first.
        seed: the text that this reply continues.
        spoken: the sentences of this reply so far.
        playing_words: the words that the microphone may just have picked up from the loudspeaker;
            None: any of `spoken`.
    """

    phase: Phase = Phase.LISTENING
    turn: int = 0
    seed: str = ""
    spoken: tuple[str, ...] = ()
    playing_words: str | None = None

    @property
    def replying(self) -> bool:
        """True while a reply is generated or played."""
        return self.phase in (Phase.THINKING, Phase.SPEAKING)


@dataclass(frozen=True)
class Sentence:
    """Emitted by the responder when a sentence is generated, before it is spoken."""

    turn: int
    text: str


@dataclass(frozen=True)
class Ended:
    """Emitted by the responder when a reply is over: played, cancelled, or failed with `error`.

    Attributes:
        weights: the name of the weights that gave it; empty for a text that is said again.
    """

    turn: int
    error: Exception | None = None
    times: TurnTimings = field(default_factory=TurnTimings)
    weights: str = ""


ReplyEvent = Sentence | Ended


@dataclass(frozen=True)
class SeedTyped:
    """Emitted on the request `say`: a typed seed, which replaces any turn in progress."""

    text: str


@dataclass(frozen=True)
class StopRequested:
    """Emitted on the request `hush`."""


@dataclass(frozen=True)
class Muted:
    """Emitted on the request `mute`: an active capture gets no more words."""


UserEvent = SeedTyped | StopRequested | Muted


@dataclass(frozen=True)
class PrepareReply:
    """Order: begin a preemptive reply; the user may still go on."""

    seed: str


@dataclass(frozen=True)
class StartReply:
    """Order: speak the continuation of this seed.

    Attributes:
        voice_seconds: audio time at the end of the seed's last word; None for a typed seed.
        sentences: spoken instead of a continuation.
    """

    turn: int
    seed: str
    voice_seconds: float | None = None
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class CancelReply:
    """Order: stop generating and playing."""


@dataclass(frozen=True)
class CancelCapture:
    """Order: discard the capture, or the possibility that it is resumed, and await the trigger."""


@dataclass(frozen=True)
class PauseReply:
    """Order: pause playback for a moment; the user may be about to interrupt."""


@dataclass(frozen=True)
class PlayCue:
    """Order: play the cue "trigger", "captured", "nothing" or "error"."""

    name: str


Order = PrepareReply | StartReply | CancelReply | CancelCapture | PauseReply | PlayCue
Next = tuple[State, tuple[Order, ...]]


def step(state: State, event: RecognitionEvent | ReplyEvent | UserEvent) -> Next:
    """The next state, and the orders to carry out."""
    match event:
        case Sentence(turn=state.turn, text=text) if state.replying:
            return replace(state, phase=Phase.SPEAKING, spoken=(*state.spoken, text)), ()
        case Ended(turn=state.turn, error=error) if state.replying:
            return _idle(state), () if error is None else (PlayCue("error"),)
        case SeedTyped(text=text):
            return _begin(state, StartReply(state.turn + 1, text))
        case StopRequested() if state.replying:
            return _idle(state), _cancel_everything(state)
        case Muted():
            return _idle(state) if state.phase is Phase.CAPTURING else state, (CancelCapture(),)
        case Sentence() | Ended() | StopRequested():
            return state, ()
        case _:
            return _on_recognised(state, event)


def _on_recognised(state: State, event: RecognitionEvent) -> Next:
    """The next state after an event of the recognition."""
    match event:
        case TriggerSuspected(phrase=phrase) if state.replying and not _is_echo(state, phrase):
            return state, (PauseReply(),)
        case Triggered():
            return _triggered(state, event)
        case Paused(text=text) if state.phase is Phase.CAPTURING:
            return state, (PrepareReply(text),)
        case Seed(text=text) if state.phase is Phase.CAPTURING and _is_heard_back(state, text):
            return _idle(state), (CancelCapture(), PlayCue("nothing"))
        case Seed(text=text, end_seconds=end) if state.phase is Phase.CAPTURING:
            state, orders = _begin(state, StartReply(state.turn + 1, text, end))
            return state, (*orders, PlayCue("captured"))
        case Resumed() if state.phase is not Phase.CAPTURING:
            cancel = (CancelReply(),) if state.replying else ()
            return replace(state, phase=Phase.CAPTURING), cancel
        case NoSpeech() if state.phase is Phase.CAPTURING:
            return _idle(state), (PlayCue("nothing"),)
        case VoiceCommand() if not event.after_trigger and _is_echo(state, event.phrase):
            return state, ()
        case VoiceCommand(kind=kind, after_trigger=True) if state.phase is Phase.CAPTURING:
            return _execute_command(state, kind)
        case VoiceCommand(kind="stop", after_trigger=False) if state.replying:
            return _idle(state), _cancel_everything(state)
        case VoiceCommand(kind="go on" | "again" as kind, after_trigger=False) if (
            state.phase is Phase.LISTENING
        ):
            return _execute_command(state, kind)
        case _:
            return state, ()


def _idle(state: State) -> State:
    """Listening; seed and sentences are kept for "go on" and "again"."""
    return replace(state, phase=Phase.LISTENING, playing_words=None)


def _begin(state: State, start: StartReply) -> Next:
    """A new reply replaces any turn in progress; a spoken seed has ended its capture by itself."""
    began = State(Phase.THINKING, start.turn, start.seed)
    taken = start.voice_seconds is not None
    return began, (start,) if taken else (*_cancel_everything(state), start)


def _execute_command(state: State, kind: str) -> Next:
    """Carry out a voice command."""
    turn = state.turn + 1
    if kind == "go on" and state.seed:
        context = end_of_text(join_sentences([state.seed, *state.spoken]), CONTEXT_CHARACTERS)
        return State(Phase.THINKING, turn, context), (StartReply(turn, context),)
    if kind == "again" and state.spoken:
        start = StartReply(turn, state.seed, sentences=state.spoken)
        return State(Phase.THINKING, turn, state.seed), (start,)
    return _idle(state), (CancelCapture(), PlayCue("nothing"))


def _cancel_everything(state: State) -> tuple[Order, ...]:
    """Orders that end any turn in progress; a capture may be resumed even during its reply."""
    if state.replying:
        return (CancelReply(), CancelCapture())
    return (CancelCapture(),) if state.phase is Phase.CAPTURING else ()


def _triggered(state: State, event: Triggered) -> Next:
    if state.replying and not event.is_louder and _is_echo(state, event.phrase):
        return state, (CancelCapture(),)
    cancel = (CancelReply(),) if state.replying else ()
    return replace(state, phase=Phase.CAPTURING), (*cancel, PlayCue("trigger"))


def _is_heard_back(state: State, seed: str) -> bool:
    """True if all the seed is the echo of a reply that was interrupted, and was slow to stop."""
    return says(state.playing_words or "", seed)


def _is_echo(state: State, phrase: str) -> bool:
    """True if the phrase may be the echo of the reply, which must not trigger."""
    words = join_sentences(state.spoken) if state.playing_words is None else state.playing_words
    return says(words, phrase)
