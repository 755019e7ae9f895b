"""What hearing reports. Times are seconds of audio since the source was opened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TriggerSuspected:
    """A trigger or stop phrase seems to be on its way; a good moment to fall silent."""

    phrase: str


@dataclass(frozen=True)
class Triggered:
    """A trigger phrase was heard; a capture has begun at its end.

    Attributes:
        is_louder: whether it was louder than the loudspeaker can be; False while that is unknown.
    """

    phrase: str
    at_seconds: float
    is_louder: bool = False


@dataclass(frozen=True)
class Partial:
    """What the capture sounds like so far."""

    text: str


@dataclass(frozen=True)
class Paused:
    """The speaker has paused in a capture; the seed is likely to be this text."""

    text: str


@dataclass(frozen=True)
class Seed:
    """The capture ended with words; where the speaker goes on after all, Resumed follows."""

    text: str
    end_seconds: float


@dataclass(frozen=True)
class Resumed:
    """The speaker goes on: the last Seed was not all, and its capture goes on, too."""


@dataclass(frozen=True)
class NoSpeech:
    """The capture ended without words: `reason` is "silence", "noise" or "end of audio"."""

    reason: str


@dataclass(frozen=True)
class Command:
    """A phrase that needs no trigger was said; `kind` is "stop", "go on" or "again"."""

    kind: str
    phrase: str
    at_seconds: float


@dataclass(frozen=True)
class Wish:
    """The words after a trigger were no seed: `kind` is "go on", "again", "never mind", "stop"."""

    kind: str


Event = TriggerSuspected | Triggered | Partial | Paused | Seed | Resumed | NoSpeech | Command
