"""Text to speech: synthesizes texts piece by piece in a worker process, which it replaces."""

import logging
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from audio.pcm import Samples
from audio.tts.neural.engines import is_neural
from audio.tts.sound import RATE, trim
from audio.tts.text import clean_text, ends_clause, halve, split_text
from audio.tts.worker_process import (
    COMMAND,
    NEURAL_START_SECONDS,
    START_SECONDS,
    Cancelled,
    WorkerError,
    WorkerProcess,
    WorkerTimeoutError,
)
from audio.tts.worker_process import installed_voices as installed_voices
from config.errors import AfterwordError, SpeechError
from config.settings import FASTEST_WPM, SLOWEST_WPM

T = TypeVar("T")
log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0  # a sentence takes 0.01 s
SECONDS_PER_CHARACTER = 0.05  # more for a long piece on a busy machine
REPAIR_SECONDS = 5.0  # of failures, after which a text is given up; a crash takes 0.2 s
CLOSED = "The speech engine is closed."
PACE_FACTOR = 10  # how much slower than measured at the start a busy machine may become
FAILURES = 3  # pieces in a row at which a voice fails before it is given up for its substitute


class SpeechEngine:
    """A voice in a worker process that is replaced when it hangs, dies or answers nonsense.

    One thread may synthesize at a time; `close` may be called from any other.

    Attributes:
        rate: samples per second.
        failure: why the substitute speaks everything; None while it does not.
    """

    rate = RATE

    def __init__(
        self,
        voice: str,
        rate_wpm: int,
        volume: float,
        *,
        substitute: "SpeechEngine | None" = None,
        command: Sequence[str] = COMMAND,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Take the settings; the worker is started by `start` or by the first text.

        Args:
            voice: a name such as "hibari", "en-us" or "en-us+f3".
            rate_wpm: words per minute, clamped to SLOWEST_WPM…FASTEST_WPM.
            volume: amplitude, clamped to 0…1.
            substitute: speaks the pieces at which this engine fails, and everything once this one
                does not start; closed with it.
            command: the worker's program, without its settings.
            answer_seconds: how long the worker may take for an answer before it is replaced;
                for speech it has more, by the length of the piece and the pace of the voice.
        """
        rate = min(max(int(rate_wpm), SLOWEST_WPM), FASTEST_WPM)
        settings = (f"--voice={voice}", f"--rate={rate}", f"--volume={min(max(volume, 0.0), 1.0)}")
        self._voice = voice
        self._command = (*command, *settings)
        self._start_seconds = NEURAL_START_SECONDS if is_neural(voice) else START_SECONDS
        self._answer_seconds = answer_seconds
        self._seconds_per_character = SECONDS_PER_CHARACTER
        self._substitute = substitute
        self.failure: SpeechError | None = None
        self._failures = 0  # pieces in a row that the substitute had to speak
        self._restarts = 0
        self._worker: WorkerProcess | None = None
        self._closed = False
        self._swap_lock = threading.Lock()  # held for the moment in which `_worker` changes
        self._use_lock = threading.Lock()  # held during an exchange with the worker

    @property
    def voice(self) -> str:
        """The voice in force: the one that was asked for, or the substitute's."""
        return self._substitute.voice if self._substitute and self.failure else self._voice

    @property
    def restarts(self) -> int:
        """How many times a worker had to be replaced."""
        return self._restarts + (self._substitute.restarts if self._substitute else 0)

    def start(self) -> None:
        """Start the worker: a wrong voice is found now, and the first sentence is fast.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: no speech engine is installed, it failed twice in a row, or is closed.
        """
        self._ensure(lambda _: None)

    def check(self) -> None:
        """Check the health of the worker between replies, and replace it if it died or hangs.

        Raises:
            ConfigError, SpeechError: as `start`.
        """
        self._ensure(lambda worker: worker.ping(self._answer_seconds))

    def _ensure(self, use: "Callable[[WorkerProcess], None]") -> None:
        """Make sure that the worker is in order, or else the substitute."""
        try:
            if not self.failure:
                with self._use_lock:
                    self._try_twice(use)
        except SpeechError as error:
            if not self._substitute or self._closed:
                raise
            self._give_up(error)
        if self._substitute and self.failure:
            self._substitute.check()

    def _give_up(self, reason: SpeechError) -> None:
        """Leave all speech to the substitute from now on."""
        assert self._substitute  # noqa: S101
        self.failure = reason
        log.warning(
            "the voice %s does not work; %s speaks instead: %s",
            *(self._voice, self._substitute.voice, reason),
        )

    def synthesize(self, text: str) -> Samples:
        """The speech at `rate`, without silence around it.

        Text of any length and content is accepted. What cannot be spoken gives no samples.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine failed twice in a row, or it is closed.
        """
        return np.concatenate([np.zeros(0, np.int16), *(sound for _, sound in self.stream(text))])

    def stream(
        self, text: str, cancelled: Cancelled = lambda: False
    ) -> Iterator[tuple[str, Samples]]:
        """Synthesize piece by piece: yield each piece of text with its speech.

        A piece that ends in punctuation keeps the engine's own pause, but for the last one. A
        symbol at which the engine fails, as espeak-ng does at some, is left out. Once it is
        cancelled, which is polled, there are no more pieces.

        Raises:
            ConfigError, SpeechError: as `synthesize`; also if failures leave nothing to be heard.
        """
        if self._substitute and self.failure:
            yield from self._substitute.stream(text, cancelled)
            return
        repairs = _Repairs()
        pieces = self._pieces(clean_text(text), repairs)
        following = next(pieces, None)
        heard = False
        while (piece := following) is not None and not cancelled():
            following = next(pieces, None)
            goes_on = following is not None
            pause = goes_on and ends_clause(piece)
            # Without a comma the voice would fall as at the end of a sentence.
            spoken = f"{piece}," if goes_on and not pause else piece
            sound = trim(self._speech(spoken, repairs, cancelled), keep_tail=pause)
            if cancelled():
                return
            heard = heard or len(sound) > 0
            yield piece, sound
        if repairs.failure and not heard:
            raise repairs.failure
        if repairs.failure:
            log.warning("part of a sentence is not spoken: %s", repairs.failure)

    def _pieces(self, text: str, repairs: "_Repairs") -> Iterator[str]:
        """Cut a text into pieces that the engine speaks whole."""

        def split(worker: WorkerProcess, part: str) -> list[str]:
            return worker.split(part, self._answer_seconds)

        for part in split_text(text):
            # Engines spell letters that are apart from their accents. Not on the whole text:
            # normalization takes quadratic time where accents follow one another.
            composed = unicodedata.normalize("NFC", part)
            if not self._substitute:
                yield from self._around_failures(split, composed, repairs)
            else:
                whole = [composed]
                yield from self._or_by_substitute(split, composed, partial(list[str], whole))

    def _speech(self, text: str, repairs: "_Repairs", cancelled: Cancelled) -> Samples:
        """The speech of a piece, with the silence around it."""

        def ask(worker: WorkerProcess, part: str) -> list[Samples]:
            seconds = self._answer_seconds + self._seconds_per_character * len(part)
            sound = worker.ask(part, seconds, cancelled)
            self._failures = 0
            return [sound]

        substitute = self._substitute
        if substitute:
            sounds = self._or_by_substitute(ask, text, lambda: [substitute.synthesize(text)])
        else:
            sounds = self._around_failures(ask, text, repairs)
        return np.concatenate([np.zeros(0, np.int16), *sounds])

    def _or_by_substitute(
        self,
        use: "Callable[[WorkerProcess, str], list[T]]",
        text: str,
        instead: "Callable[[], list[T]]",
    ) -> list[T]:
        """Do something with a text; if the worker fails at it, do something else at once.

        Raises:
            ConfigError, SpeechError: the substitute has failed, too, or the engine is closed.
        """
        if self.failure:
            return instead()
        try:
            with self._use_lock:
                return use(self._running_worker(), text)
        except (WorkerError, SpeechError) as error:
            if self._closed:
                raise SpeechError(CLOSED) from error
            reason = SpeechError(f"{error}{self._last_error_line()}")
            self._drop_worker()
            self._restarts += 1
            self._failures += 1
            if self._failures == FAILURES:
                self._give_up(reason)
            else:
                log.warning("the voice %s failed at a piece of text: %s", self._voice, reason)
            return instead()

    def _around_failures(
        self, use: "Callable[[WorkerProcess, str], list[T]]", text: str, repairs: "_Repairs"
    ) -> list[T]:
        """Do something with a text; if the worker fails at it, with its halves.

        Raises:
            ConfigError, SpeechError: as `start`, or the failures take more than REPAIR_SECONDS.
        """
        begin = time.monotonic()
        try:
            with self._use_lock:
                return self._try_twice(lambda worker: use(worker, text))
        except _FailedTwiceError as error:
            repairs.note(error, time.monotonic() - begin)
            self.check()  # raises if the engine fails at everything
        halves = halve(text)
        return [one for half in halves for one in self._around_failures(use, half, repairs)]

    def close(self) -> None:
        """End the worker at once; a `synthesize` under way in another thread raises."""
        with self._swap_lock:
            self._closed = True
            if self._worker:
                self._worker.kill()
        if self._substitute:
            self._substitute.close()
        with self._use_lock:  # an exchange under way sees the end of the pipe and releases it
            self._drop_worker()

    def _try_twice(self, use: "Callable[[WorkerProcess], T]") -> T:
        """Do something with a running worker; if that fails, with a fresh one."""
        for first in (True, False):
            try:
                return use(self._running_worker())
            except WorkerError as error:
                reason = f"{error}{self._last_error_line()}"
                self._drop_worker()
                if not first:
                    raise _FailedTwiceError(
                        f"The speech engine failed twice in a row: {reason}."
                    ) from error
                self._restarts += 1
            except AfterwordError:  # another try would end the same way
                self._drop_worker()
                raise
        raise AssertionError("unreachable")

    def _running_worker(self) -> WorkerProcess:
        if self._worker and not self._closed:
            return self._worker
        with self._swap_lock:
            if self._closed:
                raise SpeechError(CLOSED)
            self._worker = WorkerProcess(self._command)
        try:
            pace = self._worker.wait_until_ready(self._start_seconds)
        except WorkerTimeoutError as error:  # a second try would take as long
            raise SpeechError(f"The speech engine does not start: {error}.") from error
        self._seconds_per_character = max(SECONDS_PER_CHARACTER, PACE_FACTOR * pace)
        return self._worker

    def _last_error_line(self) -> str:
        return self._worker.last_error_line() if self._worker else ""

    def _drop_worker(self) -> None:
        with self._swap_lock:
            worker, self._worker = self._worker, None
        if worker:
            worker.close()


class _FailedTwiceError(SpeechError):
    """The worker failed, and so did the fresh one."""


class _Repairs:
    """The failures at one text, and the time that they took."""

    def __init__(self) -> None:
        self.failure: SpeechError | None = None
        self._seconds = 0.0

    def note(self, failure: SpeechError, seconds: float) -> None:
        """Add a failure; raise it if there is no time for more."""
        self.failure = failure
        self._seconds += seconds
        if self._seconds > REPAIR_SECONDS:
            raise failure
