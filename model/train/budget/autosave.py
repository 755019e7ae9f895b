"""Saves the state of a training every minute, so that a killed one loses no more than that."""

import time
from collections.abc import Callable

_SECONDS_BETWEEN = 60.0
_SHARE = 0.02  # of the time that saving may take: a large state is saved less often


class Autosave:
    """Calls `save` now and then."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._next = time.monotonic() + _SECONDS_BETWEEN

    def now(self) -> None:
        """Save."""
        began = time.monotonic()
        self._save()
        took = time.monotonic() - began
        self._next = began + took + max(_SECONDS_BETWEEN, took / _SHARE)

    def if_due(self) -> None:
        """Save if the last time is long enough ago."""
        if time.monotonic() >= self._next:
            self.now()
