"""The number of CPU threads of a training: one or all, whichever is faster now.

Two threads are nearly twice as fast on a quiet machine. Beside other programs they wait for each
other: on two busy cores they made 150 to 430 tokens a second where one made 1,400. What is faster
is measured again and again, since other programs come and go.
"""

import math
import statistics
import time
from collections.abc import Callable

import torch

_ROUNDS = 3
_SECONDS_BETWEEN = 180.0
_CLEARLY_FASTER = 0.9  # the part of the present time that a change must stay below


def time_threads(work: Callable[[], object], counts: tuple[int, ...]) -> dict[int, float]:
    """Median seconds of work with each number of threads, which take turns; changes the number."""
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(_ROUNDS):
        for count, times in seconds.items():
            torch.set_num_threads(count)
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return {count: statistics.median(times) for count, times in seconds.items()}


class Threads:
    """Chooses between one thread and all, before a training and while it lasts.

    Attributes:
        count: the present number of threads.
    """

    def __init__(self, work: Callable[[], object], *, fixed: bool) -> None:
        """Time `work`, a small part of a step; with `fixed` the present number stays."""
        self.count = torch.get_num_threads()
        self._work = work
        self._counts = (self.count,) if fixed else tuple(sorted({1, self.count}))
        self._next = -math.inf

    def choose(self) -> bool:
        """Time both numbers and take the faster, if it is time to; True if the number changed."""
        if len(self._counts) == 1 or time.monotonic() < self._next:
            return False
        first = self._next == -math.inf
        if first:
            self._work()  # the first one is slower
        seconds = time_threads(self._work, self._counts)
        best, before = min(seconds, key=seconds.__getitem__), self.count
        if first or seconds[best] < _CLEARLY_FASTER * seconds[before]:
            self.count = best
        torch.set_num_threads(self.count)
        self._next = time.monotonic() + _SECONDS_BETWEEN
        return self.count != before
