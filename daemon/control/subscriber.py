"""Subscribers of the event stream: one bounded queue for each client."""

import queue
from collections.abc import Callable, Mapping

FOLLOW_EVENTS = 256  # that may wait for one who reads slowly

Event = Mapping[str, object]


class Subscriber:
    """A queue of events for one client; the loop puts, the client's thread takes."""

    def __init__(self, levels: bool = False) -> None:
        """`levels`: tell this one the level of the microphone, too, several times a second."""
        self._events: queue.Queue[Event | None] = queue.Queue(FOLLOW_EVENTS)
        self.levels = levels
        self.gone = False
        """True when the client has left, or reads too slowly to be waited for."""

    def tell(self, event: Event) -> None:
        """Put one more event, never waiting."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.gone = True

    def next(self, seconds: float) -> Event | None:
        """The next event; None if there is none within `seconds`."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None


# The commands that keep the connection, and what they want to be told.
SUBSCRIBERS: Mapping[str, Callable[[], Subscriber]] = {
    "follow": Subscriber,
    "watch": lambda: Subscriber(levels=True),
}
