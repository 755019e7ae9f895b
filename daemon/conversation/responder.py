"""Thinks and speaks in a thread of its own, so that hearing never waits for either."""

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

BEHIND_SECONDS = 2.2  # what is heard began so long ago at most: a phrase, and a second of delay
AHEAD_SECONDS = 0.4  # by which sound may be earlier than reckoned
CANCEL_SECONDS = 5.0  # of silence at most, until what was queued has been dropped
CHECK_SECONDS = 10.0  # between two looks at the speech engine while nobody speaks
CUE_SECONDS = 1.0  # later, a cue says nothing any more


@dataclass
class _Job:
    """A reply to be made; without a turn it is only prepared, and waits to be wanted.

    The caller's thread sets `turn`, `decided_at` and `voice_at` before `wanted`; ours the rest.
    """

    seed: str
    sentences: tuple[str, ...] = ()  # to be said again; else the generator makes them
    turn: int = 0
    decided_at: float = 0.0
    voice_at: float | None = None
    prepared: bool = False
    wanted: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    first_token_at: float | None = None
    first_sentence_at: float | None = None
    untold: list[str] = field(default_factory=list)  # sentences made before it was wanted

    def want(self, turn: int, voice_at: float | None) -> None:
        """The seed is decided upon: let it sound."""
        self.turn, self.voice_at, self.decided_at = turn, voice_at, time.monotonic()
        self.wanted.set()

    def cancel(self) -> None:
        """Stop it, and do not let it wait any longer."""
        self.cancelled.set()
        self.wanted.set()

    def is_cancelled(self) -> bool:
        """What the generator asks at every token, the first of which is noted."""
        if self.first_token_at is None:
            self.first_token_at = time.monotonic()
        return self.cancelled.is_set()

    def times(self, first_sound_at: float | None) -> TurnTimings:
        """How it went, now that it is over."""

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
class _Renewal:
    generator: Generator | None
    speak_anew: Callable[[], None] | None


@dataclass(frozen=True)
class _Cue:
    name: str
    until: float  # monotonic time


class Responder:
    """One reply at a time: seed → generator → sentences → speaker.

    What is prepared is made up to the sound of its first sentence and then waits.

    Attributes:
        problem: why nothing could be spoken just now; empty where it could.
    """

    def __init__(
        self, generator: Generator, speaker: SpeechOutput, report: Callable[[ReplyEvent], None]
    ) -> None:
        """`report` receives each sentence and the end of each reply; it is called in our thread."""
        self._generator = generator
        self._speaker = speaker
        self._report = report
        self.problem = ""
        self._closing = False
        self._jobs: queue.Queue[_Job | _Renewal | _Cue | None] = queue.Queue()
        self._current: _Job | None = None  # the newest job; touched by the caller's thread only
        self._thread = threading.Thread(target=self._work, name="replier", daemon=True)
        self._thread.start()

    @property
    def well(self) -> bool:
        """Whether its thread runs and the speech engine answers; both should, until `close`."""
        return self._thread.is_alive() and not self.problem

    @property
    def device(self) -> str:
        """Where the generator computes just now."""
        return self._generator.device

    @property
    def restarts(self) -> int:
        """How many times the speech engine has broken down and gone on."""
        return self._speaker.restarts

    @property
    def sounding(self) -> int:
        """The number of the sentence that is heard just now; 0 before the first."""
        return self._speaker.sounding

    @property
    def sounds(self) -> bool:
        """Whether the newest reply has begun to sound; it may have ended."""
        return self._speaker.started_at is not None

    def heard_about(self, moment: float) -> str:
        """The words that a microphone may just have heard at this monotonic time."""
        return self._speaker.words_between(moment - BEHIND_SECONDS, moment + AHEAD_SECONDS)

    def prepare(self, seed: str) -> None:
        """Begin a reply up to its first sound, in case that this becomes the seed."""
        self.discard()
        self._begin(_Job(seed, prepared=True))

    def discard(self) -> None:
        """Throw away what was prepared."""
        if self._current is not None and not self._current.wanted.is_set():
            self._current.cancel()

    def start(
        self,
        turn: int,
        seed: str,
        voice_at: float | None = None,
        sentences: tuple[str, ...] = (),
    ) -> None:
        """Let the reply that was prepared for this seed sound; else begin one.

        It waits until a cancelled one before it has fallen silent.

        Args:
            turn: its number.
            seed: what to continue.
            voice_at: monotonic time at which the user's last word ended.
            sentences: what to say instead of a continuation.
        """
        job = self._current
        if job is None or job.wanted.is_set() or job.seed != seed or sentences:
            self.discard()
            job = self._begin(_Job(seed, sentences))
        job.want(turn, voice_at)

    def _begin(self, job: _Job) -> _Job:
        self._current = job
        self._jobs.put(job)
        return job

    def cancel(self) -> None:
        """Stop the newest reply; its end is reported when it has fallen silent.

        What sounds is held at once: our thread may be busy with the next sentence.
        """
        if self._current is not None:
            self._speaker.pause(CANCEL_SECONDS)
            self._current.cancel()

    def cue(self, name: str) -> None:
        """Sound a short tone at once; where the loudspeaker was away, as soon as it is opened."""
        if not self._speaker.cue(name):
            self._jobs.put(_Cue(name, time.monotonic() + CUE_SECONDS))

    def hold(self, seconds: float) -> None:
        """Let what sounds fall silent for so long."""
        self._speaker.pause(seconds)

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
                    self._finish(job, self._reply(job))
                case _Renewal():
                    self._renew(job)
                case _Cue(name, until):
                    self._check()
                    if time.monotonic() < until:
                        self._speaker.cue(name)
                case None:
                    return

    def _check(self) -> None:
        """An engine that died or hangs while nobody speaks is mended now, not at the next reply."""
        trim_heap()  # hearing and thinking have freed 70 MB since the last exchange
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
        if job.cancelled.is_set():
            return None
        try:
            self._speaker.speak(
                self._sentences(job), job.cancelled.is_set, lambda: self._await_leave(job)
            )
        except AfterwordError as error:
            return None if job.cancelled.is_set() else error
        except Exception as error:  # a fault of ours must not end the daemon
            log.exception("a reply failed")
            return error
        return None

    def _finish(self, job: _Job, error: Exception | None) -> None:
        """Report the end of a reply; what was prepared in vain has none."""
        self._await_leave(job)
        if job.turn:
            self._report(Ended(job.turn, error, job.times(self._speaker.started_at)))

    def _sentences(self, job: _Job) -> Iterator[str]:
        texts = job.sentences or self._generator.continue_text(job.seed, job.is_cancelled)
        for text in texts:
            if job.first_sentence_at is None:
                job.first_sentence_at = time.monotonic()
            job.untold.append(text)
            if job.wanted.is_set():
                self._tell(job)
            yield text

    def _await_leave(self, job: _Job) -> None:
        """Wait until the seed is decided upon, or the reply is not wanted any more."""
        job.wanted.wait()
        self._tell(job)

    def _tell(self, job: _Job) -> None:
        while job.turn and job.untold:
            self._report(Sentence(job.turn, job.untold.pop(0)))
