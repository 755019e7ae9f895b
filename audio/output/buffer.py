"""Lock-free queue between the thread that plays and PortAudio's callback."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from audio.pcm import Samples

Cancelled = Callable[[], bool]
"""True once playback is no longer wanted."""


class PlaybackBuffer:
    """A lock-free FIFO of samples: one thread puts, the audio callback takes.

    Neither waits for the other: the queue is a deque, and each counter has one writer.
    """

    def __init__(self, fade_samples: int) -> None:
        """Start empty; `fade_samples` is the length of a fade-out."""
        self._queue: deque[Samples] = deque()
        self._position = 0  # in the first block of the queue
        self._put = self._taken = 0  # samples so far
        self._ramp = np.linspace(1, 0, fade_samples, dtype=np.float32)
        self._faded = 0
        self.fading = False
        self._paused_until = 0.0  # monotonic time
        self._paused = False

    @property
    def pending(self) -> int:
        """The number of samples not yet taken."""
        return self._put - self._taken

    def put(self, samples: Samples) -> None:
        """Queue samples; not during a fade."""
        self._put += len(samples)
        if len(samples):
            self._queue.append(samples)

    def pause_until(self, until: float) -> None:
        """Give silence until this monotonic time (seconds), then resume; for any thread."""
        self._paused_until = until

    def fade(self) -> None:
        """Fade out and drop the rest; `fading` is True until that is done."""
        self.fading = self.pending > 0

    def clear(self) -> None:
        """Drop everything; only while no callback runs."""
        self._queue.clear()
        self._position = self._faded = 0
        self._taken = self._put
        self._paused_until = 0.0
        self.fading = False

    def fill(self, out: Samples) -> int:
        """Fill the device's block, padded with zeros; returns the number of samples taken.

        This runs in PortAudio's thread: no locks, no waiting, no allocation beyond small views.
        """
        was_paused, self._paused = self._paused, time.monotonic() < self._paused_until
        if was_paused and self._paused:
            out[:] = 0
            if self.fading:  # playback is silent already
                self.clear()
            return 0
        done = self._take(out)
        if self.fading:
            self._fade(out)
        elif was_paused or self._paused:  # fade out before the pause, and in after it
            ramp = np.linspace(not was_paused, not self._paused, len(out), dtype=np.float32)
            out[:] = out * ramp
        return done

    def _take(self, out: Samples) -> int:
        done = 0
        while done < len(out) and self._queue:
            block = self._queue[0]
            part = block[self._position : self._position + len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)
            self._position += len(part)
            if self._position == len(block):
                self._queue.popleft()
                self._position = 0
        out[done:] = 0
        self._taken += done
        return done

    def _fade(self, out: Samples) -> None:
        ramp = self._ramp[self._faded : self._faded + len(out)]
        out[: len(ramp)] = out[: len(ramp)] * ramp
        out[len(ramp) :] = 0
        self._faded += len(ramp)
        if self._faded == len(self._ramp):
            self.clear()
