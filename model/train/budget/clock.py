"""The clock of a training: how long it has trained, how far it is, and how long it will still take.

A training ends after its steps or its minutes, whichever comes first. Its progress is the larger of
both shares, so that it never falls when the machine becomes slower or faster, and the learning
rate, which follows it, does not jump.
"""

import statistics
import time
from collections import deque

_RECENT_STEPS = 15  # whose median duration tells how long the others will take


class Clock:
    """Training time of one run, and what is left of it.

    Time counts from `start` on: what is scored or measured before is not part of it.

    Attributes:
        steps: optimizer steps of the whole training; None for no limit.
        minutes: of the whole training; None for no limit.
    """

    def __init__(self, steps: int | None, minutes: float | None, seconds: float = 0.0) -> None:
        """With `seconds` of training before this process."""
        self.steps, self.minutes = steps, minutes
        self._before = seconds
        self._started: float | None = None
        self._durations: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._validation = 0.0

    def start(self) -> None:
        """Begin to count the time."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Training time so far, that before a resumption included."""
        if self._started is None:
            return self._before
        return self._before + time.monotonic() - self._started

    def progress(self, step: int) -> float:
        """The part of the training that is done after this many steps, 0 to 1."""
        shares = [step / self.steps] if self.steps else []
        if self.minutes:
            shares.append(self.seconds / (60 * self.minutes))
        return min(1.0, max(shares, default=1.0))

    def note_step(self, seconds: float) -> None:
        """Take in how long a step took, or would take."""
        self._durations.append(seconds)

    def note_validation(self, seconds: float) -> None:
        """Take in how long a validation took."""
        self._validation = seconds

    def expected(self, step: int, validations: int = 0) -> float | None:
        """Seconds that the other steps and validations would take now; None if not known."""
        if self.steps is None or not self._durations:
            return None
        steps = max(0, self.steps - step) * statistics.median(self._durations)
        return steps + validations * self._validation

    def left(self, step: int, validations: int = 0) -> float | None:
        """Seconds to the end; None if not known.

        Args:
            step: steps done.
            validations: that are still to come.
        """
        ends = [self.expected(step, validations)]
        if self.minutes:
            ends.append(max(0.0, 60 * self.minutes - self.seconds))
        return min((end for end in ends if end is not None), default=None)
