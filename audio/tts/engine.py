"""Text to speech: the parent's side of the speech engine, which runs in a worker process."""

import io
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeVar, cast

import numpy as np

from audio.pcm import Samples
from audio.tts.text import clean_text, ends_clause, halve, split_text
from audio.tts.voices import Voice
from audio.tts.worker import (
    FAILED,
    HEADER,
    MAGIC,
    PIECES,
    PING,
    READY,
    REFUSED,
    SOUND,
    SPLIT,
    TEXT,
    frame,
)
from config.errors import AfterwordError, ConfigError, SpeechError
from config.settings import FASTEST_WPM, SLOWEST_WPM

T = TypeVar("T")
log = logging.getLogger(__name__)

RATE = 22_050  # samples per second; the only rate of pyttsx3's espeak driver
COMMAND = (sys.executable, "-P", "-m", "audio.tts.worker")

START_SECONDS = 15.0  # a start takes 0.1 s, but not on a machine that is busy or swaps
ANSWER_SECONDS = 5.0  # a sentence takes 0.01 s
SECONDS_PER_CHARACTER = 0.05  # more for a long piece on a busy machine
MAX_ANSWER_BYTES = 64 * 2**20  # a piece of espeak-ng's is 5 MB at most
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
        self._worker: _Worker | None = None
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

        def split(worker: _Worker, part: str) -> list[str]:
            return worker.split(part, self._answer_seconds)

        for part in split_text(text):
            # Engines spell letters that are apart from their accents. Not on the whole text:
            # normalization takes quadratic time where accents follow one another.
            composed = unicodedata.normalize("NFC", part)
            yield from self._around_failures(split, composed, repairs)

    def _speech(self, text: str, repairs: "_Repairs") -> Samples:
        """The speech of a piece, with the silence around it."""

        def ask(worker: _Worker, part: str) -> list[Samples]:
            return [worker.ask(part, self._answer_seconds + SECONDS_PER_CHARACTER * len(part))]

        sounds = self._around_failures(ask, text, repairs)
        return np.concatenate([np.zeros(0, np.int16), *sounds])

    def _around_failures(
        self, use: "Callable[[_Worker, str], list[T]]", text: str, repairs: "_Repairs"
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

    def _try_twice(self, use: "Callable[[_Worker], T]") -> T:
        """Do something with a running worker; if that fails, with a fresh one."""
        for first in (True, False):
            try:
                return use(self._running_worker())
            except _WorkerError as error:
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

    def _running_worker(self) -> "_Worker":
        if self._worker and not self._closed:
            return self._worker
        with self._swap_lock:
            if self._closed:
                raise SpeechError("The speech engine is closed.")
            self._worker = _Worker(self._command)
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


class _WorkerError(Exception):
    """The worker died, hung, or broke the protocol."""


class _Worker:
    """The worker process: its pipes and its standard error."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = os.memfd_create("speech-errors")
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env=speech_environment(),
                start_new_session=True,  # Ctrl-C is for the parent alone
            )
        except OSError as error:
            os.close(self._errors)
            raise SpeechError(f"The speech engine's process does not start: {error}.") from error
        self._input = cast(IO[bytes], self._process.stdin)
        self._output = cast(IO[bytes], self._process.stdout)

    def wait_until_ready(self) -> None:
        """Wait until the settings are in force.

        Raises:
            ConfigError: a setting is wrong.
            SpeechError: no speech engine is installed.
            _WorkerError: it does not answer in START_SECONDS.
        """
        self._expect(READY, START_SECONDS)

    def split(self, text: str, seconds: float) -> list[str]:
        """Send a text and return it in pieces that the engine speaks whole.

        Raises:
            _WorkerError: there was no sensible answer within `seconds`.
        """
        self._send(SPLIT, text.encode())
        try:
            pieces = json.loads(self._expect(PIECES, seconds))
        except ValueError as error:
            raise _WorkerError("its answer makes no sense") from error
        if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
            raise _WorkerError("its answer makes no sense")
        return pieces

    def ask(self, text: str, seconds: float) -> Samples:
        """Send a piece of text and return its speech.

        Raises:
            _WorkerError: there was no sound within `seconds`.
        """
        self._send(TEXT, text.encode())
        return read_wav(self._expect(SOUND, seconds))

    def ping(self, seconds: float) -> None:
        """Return when the worker has answered.

        Raises:
            _WorkerError: there was no answer within `seconds`.
        """
        self._send(PING, b"")
        self._expect(READY, seconds)

    def _send(self, kind: bytes, body: bytes) -> None:
        try:
            self._input.write(frame(kind, body))
        except OSError as error:
            raise _WorkerError("its process has ended") from error

    def last_error_line(self) -> str:
        """The last line of the worker's standard error, in brackets, or nothing."""
        size = os.fstat(self._errors).st_size
        lines = (
            os.pread(self._errors, 1000, max(0, size - 1000)).decode(errors="replace").split("\n")
        )
        written = [line.strip() for line in lines if line.strip()]
        return f" ({written[-1]})" if written else ""

    def kill(self) -> None:
        """Kill the worker and its own child processes."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the worker and free the pipes; no thread may be waiting for an answer."""
        self.kill()
        self._process.wait()
        self._input.close()
        self._output.close()
        os.close(self._errors)

    def _expect(self, wanted: bytes, seconds: float) -> bytes:
        """Return the body of the next frame, which must be of the wanted kind."""
        deadline = time.monotonic() + seconds
        magic, kind, length = HEADER.unpack(self._read(HEADER.size, deadline, seconds))
        if magic != MAGIC or length > MAX_ANSWER_BYTES:
            raise _WorkerError("its answer makes no sense")
        body = self._read(length, deadline, seconds)
        if kind == REFUSED:
            raise ConfigError(body.decode(errors="replace"))
        if kind == FAILED:
            raise SpeechError(body.decode(errors="replace"))
        if kind != wanted:
            raise _WorkerError("its answer makes no sense")
        return body

    def _read(self, length: int, deadline: float, seconds: float) -> bytes:
        """Read exactly `length` bytes of the worker's output; a pipe holds 64 KiB at a time."""
        descriptor = self._output.fileno()
        poll = select.poll()  # unlike select.select it knows descriptors above 1023
        poll.register(descriptor, select.POLLIN)
        data = bytearray()
        while len(data) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _WorkerError(f"it gave no answer within {seconds:g} s")
            block = os.read(descriptor, min(length - len(data), 2**20))
            if not block:
                raise _WorkerError("its process has ended")
            data += block
        return bytes(data)


def speech_environment() -> dict[str, str]:
    """Environment of the worker: this one, with the path to these packages, and no sound server.

    The engine would connect to a server that it never plays to, and block if that hangs.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    packages = os.pathsep.join([home, path] if path else [home])
    return {**os.environ, "PYTHONPATH": packages, "PULSE_SERVER": "unix:/nonexistent"}


def installed_voices() -> tuple[list[Voice], list[str]]:
    """Ask a worker for all voices, in the engine's order, and the variants of any voice.

    Raises:
        SpeechError: there is no speech engine, or it gives no list.
    """
    try:
        done = subprocess.run(
            (*COMMAND, "--voices"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_SECONDS,
            env=speech_environment(),
        )
        listing = json.loads(done.stdout)
        voices = [Voice(**voice) for voice in listing["details"]]
        return voices, list(listing["variants"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise SpeechError(
            "The speech engine gives no list of its voices; see `afterword doctor`."
        ) from error


def read_wav(data: bytes) -> Samples:
    """The samples of a WAV file from the worker.

    Raises:
        _WorkerError: it is not a mono 16-bit WAV file at `RATE`.
    """
    try:
        with wave.open(io.BytesIO(data)) as wav:
            layout = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
    except (wave.Error, EOFError, ValueError) as error:
        raise _WorkerError("its answer is not a sound") from error
    if layout != (1, 2, RATE):
        raise _WorkerError("its answer is not a sound")
    return samples


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
