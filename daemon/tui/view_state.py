"""The view state of `afterword watch`, a pure function of the daemon's status and events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.control.status import Status

SILENCE_DB = -96.0
TURNS = 5  # shown, the newest ones


@dataclass(frozen=True)
class TurnView:
    """One turn: a seed and its reply.

    Attributes:
        seed_time: Unix time of the seed, in seconds.
        sentences: of the reply, as far as they have come.
        sounding: number of the sentence being played, from 1; 0 for none.
        times: seconds since the end of turn was decided, by the names of `TurnTimings`; taken from
            the events until the daemon sends its own after the reply.
    """

    number: int
    seed: str
    seed_time: float
    sentences: tuple[str, ...] = ()
    sounding: int = 0
    times: Mapping[str, float | None] = field(default_factory=dict)
    outcome: str = "under way"

    @property
    def is_over(self) -> bool:
        """True once the reply has ended: completed, failed or cancelled."""
        return self.outcome != "under way"


@dataclass(frozen=True)
class ViewState:
    """The content of the screen.

    Attributes:
        state: as `Status.state`; "not running" without a daemon.
        microphone: as `Status.microphone`.
        level_db: level of the microphone, dB of full scale.
        heard: the words after the trigger, as far as they are recognised.
        note: the latest message, such as that nothing was heard.
        turns: the newest last.
        status: the daemon's last status; None before the first one.
    """

    state: str = "not running"
    microphone: str = ""
    level_db: float = SILENCE_DB
    heard: str = ""
    note: str = ""
    turns: tuple[TurnView, ...] = ()
    status: "Status | None" = None

    @property
    def is_running(self) -> bool:
        """True while a daemon answers."""
        return self.state != "not running"

    @property
    def is_open(self) -> bool:
        """True if the microphone is open, even if it gives digital silence."""
        return self.microphone.startswith("open")

    @property
    def is_muted(self) -> bool:
        """True if the user has muted the microphone."""
        return self.microphone == "muted"

    @property
    def label(self) -> str:
        """The state in a word; while idle: "listening", "muted" or "waiting"."""
        if self.state not in ("listening", "muted") and not self.state.startswith("waiting"):
            return self.state
        if self.is_muted:
            return "muted"
        return "listening" if self.is_open else "waiting"

    @property
    def turn(self) -> TurnView | None:
        """The newest turn."""
        return self.turns[-1] if self.turns else None

    def after_status(self, status: "Status") -> "ViewState":
        """The view after a status; earlier turns stay on the screen."""
        return replace(self, state=status["state"], microphone=status["microphone"], status=status)

    def after_disconnect(self) -> "ViewState":
        """The view after the daemon has ended."""
        return replace(self, state="not running", microphone="", level_db=SILENCE_DB, heard="")

    def after_event(self, event: Mapping[str, Any]) -> "ViewState":
        """The view after one event; an unknown event changes nothing."""
        match event:
            case {"event": "level", "db": float(db)}:
                return replace(self, level_db=db)
            case {"event": "state", "state": state}:
                return replace(self, state=state)
            case {"event": "microphone", "microphone": microphone}:
                view = replace(self, microphone=microphone)
                return view if view.is_open else replace(view, level_db=SILENCE_DB)
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
                turns = (*self.turns, TurnView(number, text, time))[-TURNS:]
                return replace(self, heard=text, turns=turns)
            case {"turn": number}:
                changed = (_after(t, event) if t.number == number else t for t in self.turns)
                return replace(self, turns=tuple(changed))
        return self


def _after(turn: TurnView, event: Mapping[str, Any]) -> TurnView:
    """The turn after one of its events."""
    since = round(event["time"] - turn.seed_time, 2)
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
