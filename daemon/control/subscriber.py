"""Subscribers of the event stream: one bounded queue for each client."""

import queue
from collections.abc import Callable, Mapping

QUEUE_EVENTS = 256  # that may wait for a client that reads slowly

Event = Mapping[str, object]


class Subscriber:
    """A queue of events for one client: the loop pushes, the client's thread takes.

    Attributes:
        wants_levels: also push the level of the microphone, several times a second.
        disconnected: True when the client has left, or reads too slowly to be waited for.
    """

    def __init__(self, wants_levels: bool = False) -> None:
        self._events: queue.Queue[Event] = queue.Queue(QUEUE_EVENTS)
        self.wants_levels = wants_levels
        self.disconnected = False

    def push(self, event: Event) -> None:
        """Queue an event without waiting; a full queue disconnects the client."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.disconnected = True

    def next(self, seconds: float) -> Event | None:
        """The next event; None if there is none within `seconds`."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None


# The commands that keep the connection open for events.
SUBSCRIBERS: Mapping[str, Callable[[], Subscriber]] = {
    "follow": Subscriber,
    "watch": lambda: Subscriber(wants_levels=True),
}
