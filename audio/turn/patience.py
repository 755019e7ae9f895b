"""For a source that waits, as a file does: a seed is told when nothing more can follow."""

from collections.abc import Sequence

from audio.events import Event, Resumed, Seed
from audio.turn.resumption import SECONDS


class FinalSeedFilter:
    """Holds a seed back for as long as the hearing may take it back, and so spares a reply."""

    def __init__(self) -> None:
        self._seed: Seed | None = None
        self._until = 0.0  # audio time

    def settle(self, events: Sequence[Event], now: float) -> list[Event]:
        """What is certain of these and of what was held, at this audio time in seconds."""
        told: list[Event] = []
        for event in events:
            if isinstance(event, Resumed):
                self._seed = None
            else:
                told += [*self.finish(), event]
            if isinstance(event, Seed):
                self._seed, self._until = event, now + SECONDS
                told.pop()
        return told if now < self._until else told + self.finish()

    def finish(self) -> list[Event]:
        """What is held; there will be no more."""
        held, self._seed = self._seed, None
        return [] if held is None else [held]
