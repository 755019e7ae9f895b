"""The number of CPU threads of a training: one or all, whichever is faster now.

Two threads are nearly twice as fast on a quiet machine. Beside other programs they wait for each
other: on two busy cores they made 13 tokens a second where one made 120 (docs/lab/training.md).
What is faster is measured again and again, since other programs come and go.
"""

import math
import statistics
import time
from collections.abc import Callable

import torch

_ROUNDS = 3
_MUCH_SLOWER = 1.5  # times the fastest: not timed again
_SECONDS_BETWEEN = 180.0  # two choices ...
_SHARE = 0.05  # ... and more, where timing would take more than this part of the time
_CLEARLY_FASTER = 0.9  # the part of the present time that a change must stay below


def time_threads(work: Callable[[], object], counts: tuple[int, ...]) -> dict[int, float]:
    """Median seconds of work with each number of threads, which take turns; changes the number.

    One that is much slower has one turn: under load it may take a minute.
    """
    times: dict[int, list[float]] = {count: [] for count in counts}
    left = list(counts)
    for _ in range(_ROUNDS):
        for count in left:
            torch.set_num_threads(count)
            began = time.perf_counter()
            work()
            times[count].append(time.perf_counter() - began)
        seconds = {count: statistics.median(found) for count, found in times.items()}
        left = [count for count in left if seconds[count] < _MUCH_SLOWER * min(seconds.values())]
        if len(left) == 1:
            break
    return seconds


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
        began = time.monotonic()
        first = self._next == -math.inf
        if first:
            self._work()  # the first one is slower
        seconds = time_threads(self._work, self._counts)
        best, before = min(seconds, key=seconds.__getitem__), self.count
        if first or seconds[best] < _CLEARLY_FASTER * seconds[before]:
            self.count = best
        torch.set_num_threads(self.count)
        now = time.monotonic()
        self._next = now + max(_SECONDS_BETWEEN, (now - began) / _SHARE)
        return self.count != before
