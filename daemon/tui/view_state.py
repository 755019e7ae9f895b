"""What `afterword watch` shows, worked out of the daemon's events; no terminal is needed here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SILENCE_DB = -96.0
TURNS = 5  # that are shown


@dataclass(frozen=True)
class Turn:
    """One exchange.

    Attributes:
        sentences: of the reply, as far as they have come.
        sounding: the number of the one that is heard, 0 for none.
        times: of `afterword status`: seconds since the end of the words was decided upon, by name.
            Until the daemon tells its own, after the reply, they are those of the events.
    """

    number: int
    seed: str
    began: float
    sentences: tuple[str, ...] = ()
    sounding: int = 0
    times: Mapping[str, float | None] = field(default_factory=dict)
    outcome: str = "under way"

    @property
    def is_over(self) -> bool:
        """Whether the reply has ended, in whatever way."""
        return self.outcome != "under way"


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
    def is_open(self) -> bool:
        """Whether the microphone is; it may be silent all the same, and then says so."""
        return self.microphone.startswith("open")

    @property
    def is_muted(self) -> bool:
        """Whether the microphone is closed because the user wants it so."""
        return self.microphone == "muted"

    @property
    def in_a_word(self) -> str:
        """The state; where nothing is under way, whether it listens at all."""
        if self.state not in ("listening", "muted") and not self.state.startswith("waiting"):
            return self.state
        if self.is_muted:
            return "muted"
        return "listening" if self.is_open else "waiting"

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
                scene = replace(self, microphone=microphone)
                return scene if scene.is_open else replace(scene, level_db=SILENCE_DB)
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
            case {"turn": number}:
                changed = (_on(t, event) if t.number == number else t for t in self.turns)
                return replace(self, turns=tuple(changed))
        return self


def _on(turn: Turn, event: Mapping[str, Any]) -> Turn:
    """The turn after one of its own events."""
    since = round(event["time"] - turn.began, 2)
    match event:
        case {"event": "sentence", "text": text}:
            times = {"first_sentence_seconds": since, **turn.times}
            return replace(turn, sentences=(*turn.sentences, text), times=times)
        case {"event": "sounding", "number": number}:
            times = {"first_sound_seconds": since, **turn.times}
            return replace(turn, sounding=number, times=times)
        case {"event": "ended", "outcome": outcome}:
            times = {**turn.times, "seconds": since}
            return replace(turn, outcome=outcome, times=times, sounding=0)
        case {"event": "timed"}:
            times = {name: event[name] for name in event if name.endswith("seconds")}
            return replace(turn, times=times)
    return turn
