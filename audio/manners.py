"""How the conversation is steered by words that are no seed: "go on", "again", "never mind"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audio.events import Event as HearingEvent
from audio.events import Paused, Seed, Wish
from audio.spoken_words import bare


@dataclass(frozen=True)
class Manners:
    """Whole seeds that are wishes, and how long some need no trigger.

    Attributes:
        wishes: bare words to "go on", "again", "never mind" or "stop".
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger.
    """

    wishes: Mapping[str, str] = field(default_factory=dict)
    follow_up_seconds: float = 0.0

    def interpret(self, event: HearingEvent) -> HearingEvent | Wish | None:
        """The event, or the wish that it speaks of; None for a pause within a wish."""
        if not isinstance(event, Seed | Paused):
            return event
        kind = self._wish(bare(event.text))
        if kind is None:
            return event
        return Wish(kind) if isinstance(event, Seed) else None

    def _wish(self, words: str) -> str | None:
        """A whole seed; "never mind" also at the end of one, for who has thought better of it."""
        if words in self.wishes:
            return self.wishes[words]
        ends = tuple(f" {phrase}" for phrase, kind in self.wishes.items() if kind == "never mind")
        return "never mind" if words.endswith(ends) else None


def manners(phrases: Mapping[str, Iterable[str]], follow_up_seconds: float) -> Manners:
    """From the phrases of each kind."""
    wishes = {bare(text): kind for kind, texts in phrases.items() for text in texts}
    return Manners(wishes, follow_up_seconds)
