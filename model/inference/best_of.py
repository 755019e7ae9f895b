"""Best-of-n sampling: which of several drawings of a sentence is spoken, and how many there may be.

The best is the one with the greatest pointwise mutual information with what comes before it: its
log-probability there, less a part of its log-probability as a text of its own. A sentence that
fits any text is no answer to this one (Li et al. 2016, "A Diversity-Promoting Objective Function
for Neural Conversation Models"; per token, as all drawings do not have the same length).
"""

import time
from dataclasses import dataclass

from model.inference.draft import Part

# Anti-language-model weight of Li et al.; 1.0 would choose what is unusual.
_ALONE = 0.7
# No voice speaks faster, so there is no pause between sentences that need this long to be drawn.
_CHARACTERS_PER_SECOND = 15
_SYNTHESIS_SECONDS = 1.5  # that remain to turn the chosen sentence into speech


@dataclass(frozen=True)
class Drawing:
    """A sentence that may be spoken.

    Attributes:
        ids: as drawn, with the first id of the next sentence, or the end.
        log_probabilities: of each id behind the text before it, in nats.
        part: the sentence; None if the text ends instead.
    """

    ids: list[int]
    log_probabilities: list[float]
    part: Part | None

    @property
    def here(self) -> float:
        """The mean log-probability of the sentence's own ids, in nats."""
        own = self.log_probabilities[:-1]
        return sum(own) / max(len(own), 1)


def mutual_information(here: float, alone: float) -> float:
    """The score of a sentence, in nats per token.

    Args:
        here: mean log-probability of its ids behind the text before it.
        alone: that of its ids as a text of their own.
    """
    return here - _ALONE * alone


class SpeechTime:
    """Estimates how long the speech of a reply still lasts, so that nobody waits for a drawing."""

    def __init__(self) -> None:
        self._begin: float | None = None
        self._characters = 0

    def add(self, text: str) -> None:
        """Text that is spoken behind the others."""
        if self._begin is None:
            self._begin = time.monotonic()
        self._characters += len(text)

    def allows(self, seconds: float) -> bool:
        """Whether there is time for work of this length before the next sentence must be there."""
        if self._begin is None:
            return False
        spoken = time.monotonic() - self._begin
        left = self._characters / _CHARACTERS_PER_SECOND - spoken
        return left > seconds + _SYNTHESIS_SECONDS
