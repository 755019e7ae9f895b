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

CHECK_SECONDS = 10.0  # between two looks at the speech engine while nobody speaks


@dataclass(frozen=True)
class _Job:
    turn: int
    seed: str
    cancelled: threading.Event


@dataclass(frozen=True)
class _Renewal:
    generator: Generator | None
    speak_anew: Callable[[], None] | None


class Replier:
    """One reply at a time: seed → generator → sentences → speaker.

    Attributes:
        problem: why nothing could be spoken just now; empty where it could.
    """

    def __init__(
        self, generator: Generator, speaker: Speaker, report: Callable[[ReplyEvent], None]
    ) -> None:
        """`report` receives each sentence and the end of each reply; it is called in our thread."""
        self._generator = generator
        self._speaker = speaker
        self._report = report
        self.problem = ""
        self._closing = False
        self._jobs: queue.Queue[_Job | _Renewal | None] = queue.Queue()
        self._current: _Job | None = None  # the newest job; touched by the caller's thread only
        self._thread = threading.Thread(target=self._work, name="replier", daemon=True)
        self._thread.start()

    @property
    def well(self) -> bool:
        """Whether its thread runs and the speech engine answers; both should, until `close`."""
        return self._thread.is_alive() and not self.problem

    @property
    def restarts(self) -> int:
        """How many times the speech engine has broken down and gone on."""
        return self._speaker.restarts

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

    def renew(self, generator: Generator | None, speak_anew: Callable[[], None] | None) -> None:
        """Go on with these from the next reply on; None keeps what there is."""
        self._jobs.put(_Renewal(generator, speak_anew))

    def close(self) -> None:
        """Fall silent, end the thread and free the loudspeaker."""
        self._closing = True
        self.cancel()
        self._jobs.put(None)
        self._speaker.close()
        self._thread.join(timeout=0.2)  # a token that takes longer ends with the process

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=CHECK_SECONDS)
            except queue.Empty:
                self._check()
                continue
            match job:
                case _Job():
                    self._report(Ended(job.turn, self._reply(job)))
                case _Renewal():
                    self._renew(job)
                case None:
                    return

    def _check(self) -> None:
        """An engine that died or hangs while nobody speaks is mended now, not at the next reply."""
        problem = ""
        try:
            self._speaker.check()
        except AfterwordError as error:
            problem = "" if self._closing else str(error)
        except Exception as error:  # a fault of ours must not end the daemon
            log.exception("the speech engine could not be checked")
            problem = str(error)
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem

    def _renew(self, renewal: _Renewal) -> None:
        self._generator = renewal.generator or self._generator
        if renewal.speak_anew:
            try:
                renewal.speak_anew()
            except Exception:  # a fault of ours must not end the daemon
                log.exception("the speaker could not be renewed")

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
