"""The loop's side of a reload: those under way, and new parts that wait for a fitting moment."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from config.errors import NotRunningError, RefusedError
from daemon.ports import ComponentUpdate

Result = Mapping[str, object]


@dataclass(frozen=True)
class ReloadRequest:
    """One that was asked for; both futures hold the keys that have "changed", and those "later".

    Attributes:
        read: comes when the settings file has been found right.
        done: comes when the loop goes on with what is new. Or a RefusedError with file, line, key.
    """

    read: Future[Result] = field(default_factory=Future)
    done: Future[Result] = field(default_factory=Future)

    def fail(self, error: Exception) -> None:
        """Tell both who wait that it comes to nothing."""
        if not self.read.done():
            self.read.set_exception(error)
        self.done.set_exception(error)


class PendingReloads:
    """Owned by the loop.

    Attributes:
        wanted: a signal asks for one.
        about: what `status` tells of settings and models in force.
        refused: why the newest settings or weights are not in force.
    """

    def __init__(
        self,
        reload: Callable[[], ReloadRequest] | None,
        reloading: Callable[[], None],
        about: Mapping[str, object],
    ) -> None:
        """`reload` begins one, where there is something to reload; `reloading` is told of it."""
        self.wanted = False
        self.about = about
        self.refused = ""
        self._reload = reload
        self._reloading = reloading
        self._under_way: list[ReloadRequest] = []
        self._changes: deque[ComponentUpdate] = deque()

    @property
    def under_way(self) -> bool:
        """Whether one has begun and not ended."""
        self._under_way = [reload for reload in self._under_way if not reload.done.done()]
        return bool(self._under_way)

    def begin(self) -> ReloadRequest:
        """Begin one.

        Raises:
            RefusedError: there is nothing to reload.
        """
        if self._reload is None:
            raise RefusedError("A recording is served with the settings it began with.")
        self._reloading()
        self._under_way.append(self._reload())
        return self._under_way[-1]

    def begin_wanted(self) -> None:
        """Begin what a signal asked for."""
        if self.wanted:
            self.wanted = False
            with contextlib.suppress(RefusedError):
                self.begin()

    def add(self, change: ComponentUpdate) -> None:
        """Keep new parts until they are taken."""
        self._changes.append(change)

    def changes(self) -> Iterator[ComponentUpdate]:
        """Those that wait, to be taken now; each is in force as it is given."""
        while self._changes:
            change = self._changes.popleft()
            self.about, self.refused = change.about, ""
            yield change
            change.done.set_result(None)

    def close(self) -> None:
        """Nobody shall wait for what will not be taken any more."""
        while self._changes:
            self._changes.popleft().done.set_exception(NotRunningError("Afterword is just ending."))
