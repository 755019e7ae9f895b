"""What hearing reports. Times are seconds of audio since the source was opened."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Armed:
    """A trigger phrase seems to be on its way; a good moment to warm things up."""

    phrase: str


@dataclass(frozen=True)
class Triggered:
    """A trigger phrase was heard; a capture has begun at its end."""

    phrase: str
    at_seconds: float


@dataclass(frozen=True)
class Partial:
    """What the capture sounds like so far."""

    text: str


@dataclass(frozen=True)
class Seed:
    """The capture ended with words."""

    text: str
    end_seconds: float


@dataclass(frozen=True)
class Nothing:
    """The capture ended without words: `reason` is "silence", "noise" or "end of audio"."""

    reason: str


Event = Armed | Triggered | Partial | Seed | Nothing
