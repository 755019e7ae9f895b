"""Thinks and speaks in a thread of its own, so that hearing never waits for either."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from config.errors import AfterwordError
from daemon.ports import Cancelled, Generator, Speaker
from daemon.session import Ended, ReplyEvent, Sentence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    turn: int
    seed: str
    cancelled: threading.Event


class Replier:
    """One reply at a time: seed → generator → sentences → speaker."""

    def __init__(
        self, generator: Generator, speaker: Speaker, report: Callable[[ReplyEvent], None]
    ) -> None:
        """`report` receives each sentence and the end of each reply; it is called in our thread."""
        self._generator = generator
        self._speaker = speaker
        self._report = report
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._current: _Job | None = None  # the newest job; touched by the caller's thread only
        self._thread = threading.Thread(target=self._work, name="replier", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs; it should, until `close`."""
        return self._thread.is_alive()

    @property
    def sounding(self) -> int:
        """The number of the sentence that is heard just now; 0 before the first."""
        return self._speaker.sounding

    def start(self, turn: int, seed: str) -> None:
        """Begin a reply, as soon as a cancelled one before it has fallen silent."""
        self._current = _Job(turn, seed, threading.Event())
        self._jobs.put(self._current)

    def cancel(self) -> None:
        """Stop the newest reply; its end is reported when it has fallen silent."""
        if self._current is not None:
            self._current.cancelled.set()

    def close(self) -> None:
        """Fall silent, end the thread and free the loudspeaker."""
        self.cancel()
        self._jobs.put(None)
        self._speaker.close()
        self._thread.join(timeout=0.2)  # a token that takes longer ends with the process

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._report(Ended(job.turn, self._reply(job)))

    def _reply(self, job: _Job) -> Exception | None:
        try:
            self._speaker.say(self._sentences(job, job.cancelled.is_set), job.cancelled.is_set)
        except AfterwordError as error:
            return None if job.cancelled.is_set() else error
        except Exception as error:  # a fault of ours must not end the daemon
            log.exception("reply %d failed", job.turn)
            return error
        return None

    def _sentences(self, job: _Job, cancelled: Cancelled) -> Iterator[str]:
        for text in self._generator.continue_text(job.seed, cancelled):
            self._report(Sentence(job.turn, text))
            yield text
