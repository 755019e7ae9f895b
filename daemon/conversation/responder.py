"""Generates and speaks replies in a thread, so that recognition never waits for either.

While the user speaks, the generator reads the words so far, so that it has only the last ones to
read when a reply is begun.

Preemptive generation: a reply may be begun before the seed is final. It is generated and
synthesized up to its first sound, and then waits until it is confirmed or cancelled.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from config.errors import AfterwordError
from daemon.conversation.state_machine import Ended, ReplyEvent, Sentence
from daemon.memory import trim_heap
from daemon.ports import Generator, SpeechOutput
from daemon.timings import TurnTimings

log = logging.getLogger(__name__)

CANCEL_SECONDS = 5.0  # playback is paused for at most so long until the queued sound is dropped
CHECK_SECONDS = 10.0  # between two checks of the speech engine while no reply is spoken
READ_SECONDS = 0.2  # between two beginnings of a seed that are read while it is spoken
CUE_SECONDS = 1.0  # a cue that would come later is dropped


@dataclass
class _Job:
    """One reply; without a turn number it is preemptive, and waits until it is confirmed.

    The caller's thread sets `turn`, `decided_at` and `voice_at` before `confirmed`; the responder's
    thread sets the rest.
    """

    seed: str
    sentences: tuple[str, ...] = ()  # to be spoken again; else the generator makes them
    turn: int = 0
    decided_at: float = 0.0
    voice_at: float | None = None
    prepared: bool = False
    confirmed: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    first_token_at: float | None = None
    first_sentence_at: float | None = None
    weights: str = ""
    unreported: list[str] = field(default_factory=list)  # sentences made before it was confirmed

    def confirm(self, turn: int, voice_at: float | None) -> None:
        """The seed is final: speak the reply."""
        self.turn, self.voice_at, self.decided_at = turn, voice_at, time.monotonic()
        self.confirmed.set()

    def cancel(self) -> None:
        """Stop the reply, and end its wait."""
        self.cancelled.set()
        self.confirmed.set()

    def is_cancelled(self) -> bool:
        """The generator calls this at every token; the time of the first call is noted."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        return self.cancelled.is_set()

    def timings(self, first_sound_at: float | None) -> TurnTimings:
        """The timings of a reply that is over; `first_sound_at` is monotonic time."""

        def since(at: float | None) -> float | None:
            return None if at is None else round(at - self.decided_at, 3)

        return TurnTimings(
            since(self.voice_at),
            since(self.first_token_at),
            since(self.first_sentence_at),
            since(first_sound_at),
            since(time.monotonic()),
            self.prepared,
        )


@dataclass(frozen=True)
class _Reconfigure:
    generator: Generator | None
    reconfigure_speech: Callable[[], None] | None


@dataclass
class _Reading:
    """Words of a seed for the generator to read, unless a reply is begun before."""

    words: str
    obsolete: bool = False
    done: bool = False


@dataclass(frozen=True)
class _Cue:
    name: str
    until: float  # monotonic time


class Responder:
    """One reply at a time: seed → generator → sentences → speech output.

    Attributes:
        problem: why nothing could be spoken at the last check; empty if it could.
    """

    def __init__(
        self, generator: Generator, speech: SpeechOutput, report: Callable[[ReplyEvent], None]
    ) -> None:
        """`report` gets each sentence and the end of each reply, in the responder's thread."""
        self._generator = generator
        self._speech = speech
        self._report = report
        self.problem = ""
        self._closing = False
        self._jobs: queue.Queue[_Job | _Reading | _Reconfigure | _Cue | None] = queue.Queue()
        self._current: _Job | None = None  # the newest job; for the caller's thread only
        self._reading = _Reading("", done=True)  # the newest; for the caller's thread only
        self._read_at = -READ_SECONDS  # monotonic time of the newest
        self._thread = threading.Thread(target=self._work, name="responder", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """True while the thread runs and the speech engine answers."""
        return self._thread.is_alive() and not self.problem

    def read_ahead(self, words: str) -> None:
        """Let the generator read the words of a seed that its speaker goes on with.

        One reading at a time: words that come before its end, or too soon after its beginning, are
        left for the next one or for the reply. A preemptive reply to other words is cancelled.
        """
        if self._current is not None and self._current.seed != words:
            self.discard()
        now = time.monotonic()
        if self._reading.done and now - self._read_at >= READ_SECONDS:
            self._reading, self._read_at = _Reading(words), now
            self._jobs.put(self._reading)

    def prepare(self, seed: str) -> None:
        """Begin a preemptive reply to what may become the seed."""
        self.discard()
        self._begin(_Job(seed, prepared=True))

    def discard(self) -> None:
        """Cancel a preemptive reply that was not confirmed."""
        if self._current is not None and not self._current.confirmed.is_set():
            self._current.cancel()

    def start(
        self,
        turn: int,
        seed: str,
        voice_at: float | None = None,
        sentences: tuple[str, ...] = (),
    ) -> None:
        """Confirm the preemptive reply to this seed; where there is none, begin a reply.

        A reply waits until a cancelled one before it is silent.

        Args:
            turn: number of the reply.
            seed: the text to continue.
            voice_at: monotonic time at which the user's last word ended.
            sentences: spoken instead of a continuation.
        """
        self._reading.obsolete = True  # it may wait behind a preemptive reply
        job = self._current
        if job is None or job.confirmed.is_set() or job.seed != seed or sentences:
            self.discard()
            job = self._begin(_Job(seed, sentences))
        job.confirm(turn, voice_at)

    def _begin(self, job: _Job) -> _Job:
        self._reading.obsolete = True
        self._current = job
        self._jobs.put(job)
        return job

    def cancel(self) -> None:
        """Stop the newest reply; its end is reported when it is silent.

        Playback is paused at once, for the responder's thread may be busy with the next sentence.
        """
        if self._current is not None:
            self._speech.pause(CANCEL_SECONDS)
            self._current.cancel()

    def cue(self, name: str) -> None:
        """Play a cue at once; if the loudspeaker was lost, as soon as it is open again."""
        if not self._speech.cue(name):
            self._jobs.put(_Cue(name, time.monotonic() + CUE_SECONDS))

    def reconfigure(
        self, generator: Generator | None, reconfigure_speech: Callable[[], None] | None
    ) -> None:
        """Use these from the next reply on; None keeps the present one."""
        self._jobs.put(_Reconfigure(generator, reconfigure_speech))

    def close(self) -> None:
        """Stop speaking, end the thread and free the loudspeaker."""
        self._closing = True
        self.cancel()
        self._jobs.put(None)
        self._speech.close()
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
                    self._finish(job, self._reply(job))
                case _Reading():
                    self._read(job)
                case _Reconfigure():
                    self._reconfigure(job)
                case _Cue(name, until):
                    self._check()
                    if time.monotonic() < until:
                        self._speech.cue(name)
                case None:
                    return

    def _read(self, reading: _Reading) -> None:
        if not reading.obsolete:
            try:
                self._generator.read_ahead(reading.words)
            except Exception as error:  # the reply meets it again, and reports it
                log.debug("the words so far could not be read: %s", error)
        reading.done = True

    def _check(self) -> None:
        """Restart a speech engine that died or hangs while idle, not only at the next reply."""
        trim_heap()  # recognition and generation have freed 70 MB since the last exchange
        problem = ""
        try:
            self._speech.check()
        except AfterwordError as error:
            problem = "" if self._closing else str(error)
        except Exception as error:  # a programming error must not end the daemon
            log.exception("the speech engine could not be checked")
            problem = str(error)
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem

    def _reconfigure(self, job: _Reconfigure) -> None:
        self._generator = job.generator or self._generator
        if job.reconfigure_speech:
            try:
                job.reconfigure_speech()
            except Exception:  # a programming error must not end the daemon
                log.exception("the speech output could not be reconfigured")

    def _reply(self, job: _Job) -> Exception | None:
        if job.cancelled.is_set():
            return None
        try:
            self._speech.speak(
                self._sentences(job),
                job.cancelled.is_set,
                lambda: self._wait_until_confirmed(job),
            )
        except AfterwordError as error:
            return None if job.cancelled.is_set() else error
        except Exception as error:  # a programming error must not end the daemon
            log.exception("a reply failed")
            return error
        return None

    def _finish(self, job: _Job, error: Exception | None) -> None:
        """Report the end of a reply; a preemptive reply that was not confirmed has none."""
        self._wait_until_confirmed(job)
        if job.turn:
            times = job.timings(self._speech.started_at)
            self._report(Ended(job.turn, error, times, job.weights))

    def _sentences(self, job: _Job) -> Iterator[str]:
        texts = job.sentences or self._generator.continue_text(job.seed, job.is_cancelled)
        for text in texts:
            job.weights = "" if job.sentences else self._generator.name
            if job.first_sentence_at is None:
                job.first_sentence_at = time.monotonic()
            job.unreported.append(text)
            if job.confirmed.is_set():
                self._report_sentences(job)
            yield text

    def _wait_until_confirmed(self, job: _Job) -> None:
        """Wait until the reply is confirmed or cancelled."""
        job.confirmed.wait()
        self._report_sentences(job)

    def _report_sentences(self, job: _Job) -> None:
        while job.turn and job.unreported:
            self._report(Sentence(job.turn, job.unreported.pop(0)))
