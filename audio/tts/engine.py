"""Text to speech: synthesizes texts piece by piece in a worker process, which it replaces."""

import logging
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from audio.pcm import Samples
from audio.tts.text import clean_text, ends_clause, halve, split_text
from audio.tts.worker_process import COMMAND, WorkerError, WorkerProcess
from audio.tts.worker_process import RATE as RATE  # a property of the engine for its users
from audio.tts.worker_process import installed_voices as installed_voices
from config.errors import AfterwordError, SpeechError
from config.settings import FASTEST_WPM, SLOWEST_WPM

T = TypeVar("T")
log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0  # a sentence takes 0.01 s
SECONDS_PER_CHARACTER = 0.05  # more for a long piece on a busy machine
REPAIR_SECONDS = 5.0  # of failures, after which a text is given up; a crash takes 0.2 s
LEAD_SECONDS, TAIL_SECONDS = 0.005, 0.03  # of silence that trimming leaves around the speech
SILENCE_LEVEL = 0.01  # of the loudest sample; softer samples are silence


class SpeechEngine:
    """A voice in a worker process that is replaced when it hangs, dies or answers nonsense.

    One thread may synthesize at a time; `close` may be called from any other.

    Attributes:
        restarts: how many times a worker had to be replaced.
    """

    rate = RATE

    def __init__(
        self,
        voice: str,
        rate_wpm: int,
        volume: float,
        *,
        command: Sequence[str] = COMMAND,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Take the settings; the worker is started by `start` or by the first text.

        Args:
            voice: a name that audio/tts/voices.py can resolve, such as "en-us" or "en-us+f3".
            rate_wpm: words per minute, clamped to SLOWEST_WPM…FASTEST_WPM.
            volume: amplitude, clamped to 0…1.
            command: the worker's program, without its settings.
            answer_seconds: how long the worker may take for an answer before it is replaced;
                for speech it has SECONDS_PER_CHARACTER on top.
        """
        rate = min(max(int(rate_wpm), SLOWEST_WPM), FASTEST_WPM)
        settings = (f"--voice={voice}", f"--rate={rate}", f"--volume={min(max(volume, 0.0), 1.0)}")
        self._command = (*command, *settings)
        self._answer_seconds = answer_seconds
        self.restarts = 0
        self._worker: WorkerProcess | None = None
        self._closed = False
        self._swap_lock = threading.Lock()  # held for the moment in which `_worker` changes
        self._use_lock = threading.Lock()  # held during an exchange with the worker

    def start(self) -> None:
        """Start the worker: a wrong voice is found now, and the first sentence is fast.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: no speech engine is installed, it failed twice in a row, or is closed.
        """
        with self._use_lock:
            self._try_twice(lambda _: None)

    def check(self) -> None:
        """Check the health of the worker between replies, and replace it if it died or hangs.

        Raises:
            ConfigError, SpeechError: as `start`.
        """
        with self._use_lock:
            self._try_twice(lambda worker: worker.ping(self._answer_seconds))

    def synthesize(self, text: str) -> Samples:
        """The speech at `rate`, without the silence that espeak puts around it.

        Text of any length and content is accepted. What cannot be spoken gives no samples.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine failed twice in a row, or it is closed.
        """
        return np.concatenate([np.zeros(0, np.int16), *(sound for _, sound in self.stream(text))])

    def stream(self, text: str) -> Iterator[tuple[str, Samples]]:
        """Synthesize piece by piece: yield each piece of text with its speech.

        A piece that ends in punctuation keeps the engine's own pause, but for the last one. A
        symbol at which the engine fails, as espeak-ng does at some, is left out.

        Raises:
            ConfigError, SpeechError: as `synthesize`; also if failures leave nothing to be heard.
        """
        repairs = _Repairs()
        pieces = self._pieces(clean_text(text), repairs)
        following = next(pieces, None)
        heard = False
        while (piece := following) is not None:
            following = next(pieces, None)
            goes_on = following is not None
            pause = goes_on and ends_clause(piece)
            # Without a comma the voice would fall as at the end of a sentence.
            spoken = f"{piece}," if goes_on and not pause else piece
            sound = trim(self._speech(spoken, repairs), keep_tail=pause)
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
            yield from self._around_failures(split, composed, repairs)

    def _speech(self, text: str, repairs: "_Repairs") -> Samples:
        """The speech of a piece, with the silence around it."""

        def ask(worker: WorkerProcess, part: str) -> list[Samples]:
            return [worker.ask(part, self._answer_seconds + SECONDS_PER_CHARACTER * len(part))]

        sounds = self._around_failures(ask, text, repairs)
        return np.concatenate([np.zeros(0, np.int16), *sounds])

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
        with self._use_lock:  # an exchange under way sees the end of the pipe and releases it
            self._drop_worker()

    def _try_twice(self, use: "Callable[[WorkerProcess], T]") -> T:
        """Do something with a running worker; if that fails, with a fresh one."""
        for first in (True, False):
            try:
                return use(self._running_worker())
            except WorkerError as error:
                reason = f"{error}{self._worker.last_error_line() if self._worker else ''}"
                self._drop_worker()
                if not first:
                    raise _FailedTwiceError(
                        f"The speech engine failed twice in a row: {reason}."
                    ) from error
                self.restarts += 1
            except AfterwordError:  # another try would end the same way
                self._drop_worker()
                raise
        raise AssertionError("unreachable")

    def _running_worker(self) -> WorkerProcess:
        if self._worker and not self._closed:
            return self._worker
        with self._swap_lock:
            if self._closed:
                raise SpeechError("The speech engine is closed.")
            self._worker = WorkerProcess(self._command)
        self._worker.wait_until_ready()
        return self._worker

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


def trim(samples: Samples, *, keep_tail: bool = False) -> Samples:
    """Cut off the silence at both ends, but for LEAD_SECONDS and TAIL_SECONDS.

    Args:
        samples: the speech.
        keep_tail: leave the end as it is, a pause.
    """
    loudness = np.abs(samples.astype(np.int32))
    # Most voices end in zeros, but voices with an echo (en-us+f3) in a murmur.
    loud = np.flatnonzero(loudness > SILENCE_LEVEL * loudness.max(initial=0))
    if len(loud) == 0:
        return samples[:0]
    begin = max(0, loud[0] - int(LEAD_SECONDS * RATE))
    end = len(samples) if keep_tail else loud[-1] + 1 + int(TAIL_SECONDS * RATE)
    return samples[begin:end]
