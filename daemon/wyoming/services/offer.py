"""What the server offers: its services, their languages and voices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audio.commands import SeedCommands
from daemon.wyoming.services.voices import OfferedVoices

SERVICES = ("handle", "tts", "asr", "wake")


@dataclass(frozen=True)
class HearingModel:
    """The Vosk model of a language: its name and version."""

    name: str
    version: str


@dataclass(frozen=True)
class WakePhrase:
    """A trigger phrase.

    Attributes:
        name: by which clients choose it, as "hey_computer".
        text: as written in the settings.
        language: its code.
    """

    name: str
    text: str
    language: str


@dataclass(frozen=True)
class Offer:
    """What is offered, by the settings and by what is installed.

    Attributes:
        commands: the commands in each language that is continued; the first is the default.
        voices: who speaks.
        hearing: the model by each language that is heard, the default first; none without `asr`.
        phrases: the trigger phrases that are detected, those of the default language first; none
            without `wake`.
        services: the names of those that are switched on, of SERVICES.
        pause_seconds: of silence between two sentences of a text that comes in parts.
    """

    commands: Mapping[str, SeedCommands]
    voices: OfferedVoices
    hearing: Mapping[str, HearingModel] = field(default_factory=dict)
    phrases: Sequence[WakePhrase] = ()
    services: frozenset[str] = frozenset(SERVICES)
    pause_seconds: float = 0.35

    @property
    def languages(self) -> list[str]:
        """The codes of the languages that are continued, the default first."""
        return [*self.commands]
