"""What `afterword watch` shows, worked out of the daemon's events; no terminal is needed here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SILENCE_DB = -96.0
TURNS = 5  # that are shown


@dataclass(frozen=True)
class Turn:
    """One exchange; times are seconds since its seed was complete, None for what has not come."""

    number: int
    seed: str
    began: float
    sentences: tuple[str, ...] = ()
    sounding: int = 0
    first_sentence_seconds: float | None = None
    first_sound_seconds: float | None = None
    seconds: float | None = None
    outcome: str = "under way"


@dataclass(frozen=True)
class Scene:
    """Everything on the screen.

    Attributes:
        state: what the daemon does, in a word; "not running" where there is none.
        microphone: "open", "muted", or why there is none.
        level_db: of the microphone, dB of full scale.
        heard: the words after the trigger, as far as they are understood.
        note: the last thing to tell beside that, such as that nothing was heard.
        turns: the newest last.
        about: the answer to `status`.
    """

    state: str = "not running"
    microphone: str = ""
    level_db: float = SILENCE_DB
    heard: str = ""
    note: str = ""
    turns: tuple[Turn, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether a daemon answers."""
        return self.state != "not running"

    @property
    def is_muted(self) -> bool:
        """Whether the microphone is closed because the user wants it so."""
        return self.microphone == "muted"

    @property
    def in_a_word(self) -> str:
        """The state; where nothing is under way, whether it listens at all."""
        if self.state in ("listening", "muted") or self.state.startswith("waiting"):
            return {"open": "listening", "muted": "muted"}.get(self.microphone, "waiting")
        return self.state

    @property
    def turn(self) -> Turn | None:
        """The newest exchange."""
        return self.turns[-1] if self.turns else None

    def begin(self, status: Mapping[str, Any]) -> "Scene":
        """A daemon has answered; earlier turns stay on the screen."""
        state, microphone = str(status["state"]), str(status["microphone"])
        return replace(self, state=state, microphone=microphone, about=status)

    def end(self) -> "Scene":
        """The daemon has gone."""
        return replace(self, state="not running", microphone="", level_db=SILENCE_DB, heard="")

    def on(self, event: Mapping[str, Any]) -> "Scene":
        """The scene after one event; one that we do not know changes nothing."""
        match event:
            case {"event": "level", "db": float(db)}:
                return replace(self, level_db=db)
            case {"event": "state", "state": state}:
                return replace(self, state=state)
            case {"event": "microphone", "microphone": microphone}:
                level = self.level_db if microphone == "open" else SILENCE_DB
                return replace(self, microphone=microphone, level_db=level)
            case {"event": "triggered", "phrase": phrase}:
                return replace(self, heard="", note=f"“{phrase}”")
            case {"event": "partial", "text": text}:
                return replace(self, heard=text)
            case {"event": "nothing", "reason": reason}:
                return replace(self, note=f"nothing heard ({reason})")
            case {"event": "renewed", "told": told}:
                return replace(self, note=str(told))
            case {"event": "refused", "reason": reason}:
                return replace(self, note=str(reason))
            case {"event": "seed", "turn": number, "text": text, "time": time}:
                turns = (*self.turns, Turn(number, text, time))[-TURNS:]
                return replace(self, heard=text, turns=turns)
            case {"turn": number} if self.turn and self.turn.number == number:
                return replace(self, turns=(*self.turns[:-1], _on(self.turn, event)))
        return self


def _on(turn: Turn, event: Mapping[str, Any]) -> Turn:
    """The turn after one of its own events."""
    since = round(event["time"] - turn.began, 2)
    match event:
        case {"event": "sentence", "text": text}:
            first = since if turn.first_sentence_seconds is None else turn.first_sentence_seconds
            return replace(turn, sentences=(*turn.sentences, text), first_sentence_seconds=first)
        case {"event": "sounding", "number": number}:
            first = since if turn.first_sound_seconds is None else turn.first_sound_seconds
            return replace(turn, sounding=number, first_sound_seconds=first)
        case {"event": "ended", "outcome": outcome}:
            return replace(turn, outcome=outcome, seconds=since, sounding=0)
    return turn
