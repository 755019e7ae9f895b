"""What the server offers: its services, their languages and voices."""

from collections.abc import Mapping
from dataclasses import dataclass

from audio.commands import SeedCommands
from daemon.wyoming.services.voices import OfferedVoices


@dataclass(frozen=True)
class Offer:
    """What is offered, by the settings and by what is installed.

    Attributes:
        commands: the commands in each language that is continued; the first is the default.
        voices: who speaks.
        pause_seconds: of silence between two sentences of a text that comes in parts.
    """

    commands: Mapping[str, SeedCommands]
    voices: OfferedVoices
    pause_seconds: float = 0.35

    @property
    def languages(self) -> list[str]:
        """The codes of the languages that are continued, the default first."""
        return [*self.commands]
