"""Reloads in progress, and component updates that wait until no capture is active."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from config.errors import NotRunningError, RefusedError
from daemon.control.status import ComponentStatus
from daemon.ports import ComponentUpdate

Result = Mapping[str, object]


@dataclass(frozen=True)
class ReloadRequest:
    """A reload that was asked for; both futures give {"changed": keys} or raise RefusedError.

    Attributes:
        on_cpu: rebuild the generator on the CPU, because the device of the model has failed.
        read: done when the settings file has been read and is valid.
        done: done when the loop has taken the new components.
    """

    on_cpu: bool = False
    read: Future[Result] = field(default_factory=Future)
    done: Future[Result] = field(default_factory=Future)

    def fail(self, error: Exception) -> None:
        """Raise this error in every thread that waits for the reload."""
        if not self.read.done():
            self.read.set_exception(error)
        self.done.set_exception(error)


class BeginReload(Protocol):
    """Begins a reload in another thread and returns at once."""

    def __call__(self, *, on_cpu: bool = False) -> ReloadRequest:
        """Read the settings and weights again; `on_cpu`: rebuild the generator on the CPU."""


class PendingReloads:
    """The loop's side of reloads; for the loop's thread, but for `wanted`.

    Attributes:
        wanted: a signal has asked for a reload.
        status_info: what `status` reports of the settings and models in force.
        refused: why the newest settings or weights are not in force; empty if they are.
    """

    def __init__(
        self,
        begin_reload: BeginReload | None,
        on_reloading: Callable[[], None],
        status_info: ComponentStatus,
    ) -> None:
        """`on_reloading` is called whenever a reload begins."""
        self.wanted = False
        self.status_info = status_info
        self.refused = ""
        self._begin_reload = begin_reload
        self._on_reloading = on_reloading
        self._in_progress: list[ReloadRequest] = []
        self._updates: deque[ComponentUpdate] = deque()

    @property
    def in_progress(self) -> bool:
        """True while a reload has begun and not ended."""
        self._in_progress = [reload for reload in self._in_progress if not reload.done.done()]
        return bool(self._in_progress)

    def begin(self, *, on_cpu: bool = False) -> ReloadRequest:
        """Begin a reload.

        Raises:
            RefusedError: there is nothing to reload.
        """
        if self._begin_reload is None:
            raise RefusedError("A recording is served with the settings it began with.")
        self._on_reloading()
        self._in_progress.append(self._begin_reload(on_cpu=on_cpu))
        return self._in_progress[-1]

    def begin_wanted(self) -> None:
        """Begin the reload that a signal has asked for."""
        if self.wanted:
            self.wanted = False
            with contextlib.suppress(RefusedError):
                self.begin()

    def add(self, update: ComponentUpdate) -> None:
        """Keep an update until it can be applied."""
        self._updates.append(update)

    def take_updates(self) -> Iterator[ComponentUpdate]:
        """The waiting updates; the caller applies each before it asks for the next."""
        while self._updates:
            update = self._updates.popleft()
            self.status_info, self.refused = update.status_info, ""
            yield update
            update.done.set_result(None)

    def close(self) -> None:
        """Fail all waiting updates, so that no thread waits for them."""
        while self._updates:
            self._updates.popleft().done.set_exception(NotRunningError("Afterword is just ending."))
