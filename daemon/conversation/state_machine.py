"""The conversation as a table: what to do next, given the state and what has just happened.

A pure function: it opens nothing, waits for nothing and knows no clock, so that tests can walk it.

    LISTENING ─Triggered→ CAPTURING ─Seed→ THINKING ─Sentence→ SPEAKING ─Ended→ LISTENING
    CAPTURING ─Paused→ CAPTURING, and a reply to the words so far is prepared
    CAPTURING ─Nothing or "never mind"→ LISTENING
    THINKING or SPEAKING ─Armed→ the same, and the reply holds its breath for a moment
    THINKING or SPEAKING ─Triggered→ CAPTURING, and the reply is cancelled (barge-in)
    THINKING or SPEAKING ─Resumed→ CAPTURING, and the reply, which came too early, is cancelled
    THINKING or SPEAKING ─Hushed or "stop"→ LISTENING, CAPTURING ─Muted→ LISTENING
    LISTENING or CAPTURING ─"go on" or "again"→ THINKING, any ─Typed→ THINKING

Every reply carries the number of its turn, so that the late end of a cancelled reply cannot end the
next one.
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from audio.events import Event as HearingEvent
from audio.events import NoSpeech, Paused, Resumed, Seed, Triggered, TriggerSuspected, VoiceCommand
from audio.phrases import says
from config.languages import join_sentences
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
    """Where the conversation stands.

    Attributes:
        turn: number of the newest reply, 0 before the first.
        seed: what it carries on.
        spoken: the sentences it has so far.
        sounding: the words that the microphone may have heard from the loudspeaker just now; None
            for any of those spoken.
    """

    phase: Phase = Phase.LISTENING
    turn: int = 0
    seed: str = ""
    spoken: tuple[str, ...] = ()
    sounding: str | None = None

    @property
    def replying(self) -> bool:
        """True while a reply is on its way or sounding."""
        return self.phase in (Phase.THINKING, Phase.SPEAKING)


@dataclass(frozen=True)
class Sentence:
    """The replier has made one more sentence and is about to speak it."""

    turn: int
    text: str


@dataclass(frozen=True)
class Ended:
    """The reply has sounded to its end, was cancelled, or failed with `error`."""

    turn: int
    error: Exception | None = None
    times: TurnTimings = field(default_factory=TurnTimings)


ReplyEvent = Sentence | Ended


@dataclass(frozen=True)
class SeedTyped:
    """The user has sent a seed by hand; it goes before whatever is under way."""

    text: str


@dataclass(frozen=True)
class StopRequested:
    """The user wants the reply to stop."""


@dataclass(frozen=True)
class Muted:
    """The microphone is closed: a capture under way will get no more words."""


UserEvent = SeedTyped | StopRequested | Muted


@dataclass(frozen=True)
class PrepareReply:
    """Order: begin to continue this seed, silently; it may become another one."""

    seed: str


@dataclass(frozen=True)
class StartReply:
    """Order: continue this seed aloud.

    Attributes:
        voice_seconds: audio time at the end of its last word; None if it was not spoken.
        sentences: say these again instead.
    """

    turn: int
    seed: str
    voice_seconds: float | None = None
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class CancelReply:
    """Order: stop thinking and fall silent."""


@dataclass(frozen=True)
class CancelCapture:
    """Order: that was no trigger, or no longer matters; listen on."""


@dataclass(frozen=True)
class PauseReply:
    """Order: fall silent for a moment; perhaps the user is about to interrupt."""


@dataclass(frozen=True)
class PlayCue:
    """Order: sound a short tone: "trigger", "captured", "nothing" or "error"."""

    name: str


Order = PrepareReply | StartReply | CancelReply | CancelCapture | PauseReply | PlayCue
Next = tuple[State, tuple[Order, ...]]


def step(state: State, event: HearingEvent | ReplyEvent | UserEvent) -> Next:
    """The next state and the orders that lead there; an event that does not fit changes nothing."""
    match event:
        case Sentence(turn=state.turn, text=text) if state.replying:
            return replace(state, phase=Phase.SPEAKING, spoken=(*state.spoken, text)), ()
        case Ended(turn=state.turn, error=error) if state.replying:
            return _idle(state), () if error is None else (PlayCue("error"),)
        case SeedTyped(text=text):
            return _begin(state, StartReply(state.turn + 1, text))
        case StopRequested() if state.replying:
            return _idle(state), _clearing(state)
        case Muted():
            return _idle(state) if state.phase is Phase.CAPTURING else state, (CancelCapture(),)
        case Sentence() | Ended() | StopRequested():
            return state, ()
        case _:
            return _heard(state, event)


def _heard(state: State, event: HearingEvent) -> Next:
    """What follows from what the hearing reports."""
    match event:
        case TriggerSuspected(phrase=phrase) if state.replying and not _is_own(state, phrase):
            return state, (PauseReply(),)
        case Triggered():
            return _triggered(state, event)
        case Paused(text=text) if state.phase is Phase.CAPTURING:
            return state, (PrepareReply(text),)
        case Seed(text=text, end_seconds=end) if state.phase is Phase.CAPTURING:
            state, orders = _begin(state, StartReply(state.turn + 1, text, end))
            return state, (*orders, PlayCue("captured"))
        case Resumed() if state.phase is not Phase.CAPTURING:
            cancel = (CancelReply(),) if state.replying else ()
            return replace(state, phase=Phase.CAPTURING), cancel
        case NoSpeech() if state.phase is Phase.CAPTURING:
            return _idle(state), (PlayCue("nothing"),)
        case VoiceCommand(kind=kind, after_trigger=True):
            return _grant(state, kind) if state.phase is Phase.CAPTURING else (state, ())
        case VoiceCommand(kind="stop", phrase=phrase) if state.replying and not _is_own(
            state, phrase
        ):
            return _idle(state), _clearing(state)
        case VoiceCommand(kind="go on" | "again" as kind, phrase=phrase) if (
            state.phase is Phase.LISTENING and not _is_own(state, phrase)
        ):
            return _grant(state, kind)
        case _:
            return state, ()


def _idle(state: State) -> State:
    """Listening; what was said is remembered, for the user may want it again."""
    return replace(state, phase=Phase.LISTENING, sounding=None)


def _begin(state: State, start: StartReply) -> Next:
    """A new reply goes before whatever is under way; a seed ends its capture by itself."""
    began = State(Phase.THINKING, start.turn, start.seed)
    taken = start.voice_seconds is not None
    return began, (start,) if taken else (*_clearing(state), start)


def _grant(state: State, kind: str) -> Next:
    """Do what the user has asked for instead of giving a seed."""
    turn = state.turn + 1
    if kind == "go on" and state.seed:
        context = join_sentences([state.seed, *state.spoken])[-CONTEXT_CHARACTERS:]
        return State(Phase.THINKING, turn, context), (StartReply(turn, context),)
    if kind == "again" and state.spoken:
        start = StartReply(turn, state.seed, sentences=state.spoken)
        return State(Phase.THINKING, turn, state.seed), (start,)
    return _idle(state), (CancelCapture(), PlayCue("nothing"))


def _clearing(state: State) -> tuple[Order, ...]:
    """What ends whatever is under way; a capture might go on even while its reply sounds."""
    if state.replying:
        return (CancelReply(), CancelCapture())
    return (CancelCapture(),) if state.phase is Phase.CAPTURING else ()


def _triggered(state: State, event: Triggered) -> Next:
    if state.replying and not event.is_louder and _is_own(state, event.phrase):
        return state, (CancelCapture(),)
    cancel = (CancelReply(),) if state.replying else ()
    return replace(state, phase=Phase.CAPTURING), (*cancel, PlayCue("trigger"))


def _is_own(state: State, phrase: str) -> bool:
    """Whether the loudspeaker says the phrase: what the microphone hears of it must not wake us."""
    words = join_sentences(state.spoken) if state.sounding is None else state.sounding
    return says(words, phrase)
