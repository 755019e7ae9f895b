"""The conversation as a table: what to do next, given the state and what has just happened.

A pure function: it opens nothing, waits for nothing and knows no clock, so that tests can walk it.

    LISTENING ─Triggered→ CAPTURING ─Seed→ THINKING ─Sentence→ SPEAKING ─Ended→ LISTENING
    CAPTURING ─Nothing→ LISTENING
    THINKING or SPEAKING ─Triggered→ CAPTURING, and the reply is cancelled (barge-in)
    THINKING or SPEAKING ─Hushed→ LISTENING, CAPTURING ─Muted→ LISTENING, any ─Typed→ THINKING

Every reply carries the number of its turn, so that the late end of a cancelled reply cannot end the
next one.
"""

from dataclasses import dataclass, replace
from enum import Enum

from audio.events import Armed, Command, Nothing, Partial, Paused, Seed, Triggered
from audio.events import Event as HearingEvent


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
        spoken: what this turn's reply has said so far.
    """

    phase: Phase = Phase.LISTENING
    turn: int = 0
    spoken: str = ""

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


ReplyEvent = Sentence | Ended


@dataclass(frozen=True)
class Typed:
    """The user has sent a seed by hand; it goes before whatever is under way."""

    text: str


@dataclass(frozen=True)
class Hushed:
    """The user wants the reply to stop."""


@dataclass(frozen=True)
class Muted:
    """The microphone is closed: a capture under way will get no more words."""


UserEvent = Typed | Hushed | Muted


@dataclass(frozen=True)
class StartReply:
    """Order: continue this seed aloud."""

    turn: int
    seed: str


@dataclass(frozen=True)
class CancelReply:
    """Order: stop thinking and fall silent."""


@dataclass(frozen=True)
class DropCapture:
    """Order: that was no trigger, or no longer matters; listen on."""


Order = StartReply | CancelReply | DropCapture


def step(
    state: State, event: HearingEvent | ReplyEvent | UserEvent
) -> tuple[State, tuple[Order, ...]]:
    """The next state and the orders that lead there; an event that does not fit changes nothing."""
    match event:
        case Triggered(phrase=phrase):
            return _triggered(state, phrase)
        case Seed(text=text) if state.phase is Phase.CAPTURING:
            turn = state.turn + 1
            return State(Phase.THINKING, turn), (StartReply(turn, text),)
        case Nothing() if state.phase is Phase.CAPTURING:
            return replace(state, phase=Phase.LISTENING), ()
        case Sentence(turn=state.turn, text=text) if state.replying:
            return State(Phase.SPEAKING, state.turn, f"{state.spoken} {text}"), ()
        case Ended(turn=state.turn) if state.replying:
            return State(Phase.LISTENING, state.turn), ()
        case Typed(text=text):
            turn = state.turn + 1
            return State(Phase.THINKING, turn), (*_clearing(state), StartReply(turn, text))
        case Hushed() if state.replying:
            return State(Phase.LISTENING, state.turn), _clearing(state)
        case Muted() if state.phase is Phase.CAPTURING:
            return State(Phase.LISTENING, state.turn), _clearing(state)
        case Armed() | Partial() | Paused() | Command() | Seed() | Nothing():
            return state, ()
        case Sentence() | Ended() | Hushed() | Muted():
            return state, ()


def _clearing(state: State) -> tuple[Order, ...]:
    """What ends whatever is under way."""
    if state.replying:
        return (CancelReply(),)
    return (DropCapture(),) if state.phase is Phase.CAPTURING else ()


def _triggered(state: State, phrase: str) -> tuple[State, tuple[Order, ...]]:
    if state.replying:
        # The microphone hears the loudspeaker: a reply that says the phrase must not wake us.
        if _says(state.spoken, phrase):
            return state, (DropCapture(),)
        return State(Phase.CAPTURING, state.turn), (CancelReply(),)
    return replace(state, phase=Phase.CAPTURING), ()


def _says(text: str, phrase: str) -> bool:
    """Whether the phrase is spoken in the text; Chinese has no blanks between words."""
    if phrase.isascii():
        return f" {_words(phrase)} " in f" {_words(text)} "
    return _words(phrase).replace(" ", "") in _words(text).replace(" ", "")


def _words(text: str) -> str:
    """Bare words: what a recogniser would make of the text."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split())
