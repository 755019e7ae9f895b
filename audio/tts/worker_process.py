"""The speech engine's worker process as its parent sees it: pipes, answers, limits of time."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np

from audio.pcm import Samples
from audio.tts.neural.onnx import SILENT
from audio.tts.sound import RATE
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
from config.errors import ConfigError, SpeechError

COMMAND = (sys.executable, "-P", "-m", "audio.tts.worker")

# A start takes 0.1 s with espeak-ng, 1 s with hibari, 3 s with Kokoro, but not on a machine that is
# busy or swaps.
START_SECONDS = 15.0
NEURAL_START_SECONDS = 40.0
MAX_ANSWER_BYTES = 64 * 2**20  # a piece of espeak-ng's is 5 MB at most
CANCEL_SECONDS = 0.02  # between two looks whether an answer is still wanted

Cancelled = Callable[[], bool]


class WorkerError(Exception):
    """The worker died, hung, or broke the protocol."""


class WorkerTimeoutError(WorkerError):
    """The worker gave no answer in time."""


class WorkerProcess:
    """A running worker: its pipes and its standard error."""

    def __init__(self, command: Sequence[str]) -> None:
        self._unread = 0  # answers that nobody waits for any more
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

    def wait_until_ready(self, seconds: float) -> float:
        """Wait until the settings are in force.

        Returns:
            how long the synthesis of a character takes, in seconds.

        Raises:
            ConfigError: a setting is wrong.
            SpeechError: no speech engine is installed.
            WorkerError: it does not answer within `seconds`.
        """
        try:
            pace = json.loads(self._expect(READY, seconds) or b"{}")
            return float(pace.get("seconds_per_character", 0.0))
        except (ValueError, TypeError, AttributeError) as error:
            raise WorkerError("its answer makes no sense") from error

    def split(self, text: str, seconds: float) -> list[str]:
        """Send a text and return it in pieces that the engine speaks whole.

        Raises:
            WorkerError: there was no sensible answer within `seconds`.
        """
        self._send(SPLIT, text.encode())
        try:
            pieces = json.loads(self._expect(PIECES, seconds))
        except ValueError as error:
            raise WorkerError("its answer makes no sense") from error
        if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
            raise WorkerError("its answer makes no sense")
        return pieces

    def ask(self, text: str, seconds: float, cancelled: Cancelled) -> Samples:
        """Send a piece of text and return its speech; none, and soon, once it is cancelled.

        Raises:
            WorkerError: there was no sound within `seconds`.
        """
        self._send(TEXT, text.encode())
        if not self._answers(seconds, cancelled):
            self._unread += 1
            return np.zeros(0, np.int16)
        return _read_wav(self._expect(SOUND, seconds))

    def _answers(self, seconds: float, cancelled: Cancelled) -> bool:
        """Wait for the beginning of the next answer, or of one that is unread; False if cancelled.

        Raises:
            WorkerError: it did not come within `seconds`.
        """
        for _ in range(self._unread):
            if not self._begins(seconds, cancelled):
                return False
            self._drop_answer(seconds)
        return self._begins(seconds, cancelled)

    def _begins(self, seconds: float, cancelled: Cancelled) -> bool:
        deadline = time.monotonic() + seconds
        while not cancelled():
            left = deadline - time.monotonic()
            if self._poll(min(left, CANCEL_SECONDS)):
                return True
            if left <= 0:
                raise WorkerTimeoutError(f"it gave no answer within {seconds:g} s")
        return False

    def _drop_answer(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        magic, _, length = HEADER.unpack(self._read(HEADER.size, deadline, seconds))
        if magic != MAGIC or length > MAX_ANSWER_BYTES:
            raise WorkerError("its answer makes no sense")
        self._read(length, deadline, seconds)
        self._unread -= 1

    def _poll(self, seconds: float) -> bool:
        """True if there is output, or its end, within the time."""
        poll = select.poll()  # unlike select.select it knows descriptors above 1023
        poll.register(self._output.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def ping(self, seconds: float) -> None:
        """Return when the worker has answered.

        Raises:
            WorkerError: there was no answer within `seconds`.
        """
        self._send(PING, b"")
        self._expect(READY, seconds)

    def _send(self, kind: bytes, body: bytes) -> None:
        try:
            self._input.write(frame(kind, body))
        except OSError as error:
            raise WorkerError("its process has ended") from error

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
        while self._unread:
            self._drop_answer(seconds)
        deadline = time.monotonic() + seconds
        magic, kind, length = HEADER.unpack(self._read(HEADER.size, deadline, seconds))
        if magic != MAGIC or length > MAX_ANSWER_BYTES:
            raise WorkerError("its answer makes no sense")
        body = self._read(length, deadline, seconds)
        if kind == REFUSED:
            raise ConfigError(body.decode(errors="replace"))
        if kind == FAILED:
            raise SpeechError(body.decode(errors="replace"))
        if kind != wanted:
            raise WorkerError("its answer makes no sense")
        return body

    def _read(self, length: int, deadline: float, seconds: float) -> bytes:
        """Read exactly `length` bytes of the worker's output; a pipe holds 64 KiB at a time."""
        data = bytearray()
        while len(data) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poll(left):
                raise WorkerTimeoutError(f"it gave no answer within {seconds:g} s")
            block = os.read(self._output.fileno(), min(length - len(data), 2**20))
            if not block:
                raise WorkerError("its process has ended")
            data += block
        return bytes(data)


def speech_environment() -> dict[str, str]:
    """Environment of the worker: this one, with the path to these packages, and no sound server.

    The engine would connect to a server that it never plays to, and block if that hangs. And
    onnxruntime would report to its maker.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    packages = os.pathsep.join([home, path] if path else [home])
    ours = {"PYTHONPATH": packages, "PULSE_SERVER": "unix:/nonexistent", **SILENT}
    return {**os.environ, **ours}


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
            timeout=NEURAL_START_SECONDS,
            env=speech_environment(),
        )
        listing = json.loads(done.stdout)
        voices = [Voice(**voice) for voice in listing["details"]]
        return voices, list(listing["variants"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise SpeechError(
            "The speech engine gives no list of its voices; see `afterword doctor`."
        ) from error


def _read_wav(data: bytes) -> Samples:
    """The samples of a WAV file from the worker.

    Raises:
        WorkerError: it is not a mono 16-bit WAV file at `RATE`.
    """
    try:
        with wave.open(io.BytesIO(data)) as wav:
            layout = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
    except (wave.Error, EOFError, ValueError) as error:
        raise WorkerError("its answer is not a sound") from error
    if layout != (1, 2, RATE):
        raise WorkerError("its answer is not a sound")
    return samples
