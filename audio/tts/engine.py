"""Text to sound: the parent's side of the speech engine, which lives in a child process."""

import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import wave
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar, cast

import numpy as np

from audio.pcm import Samples
from audio.tts.worker import FAILED, HEADER, MAGIC, PING, READY, REFUSED, SOUND, TEXT, frame
from config.errors import AfterwordError, ConfigError, SpeechError

T = TypeVar("T")

RATE = 22_050  # samples per second; pyttsx3's espeak driver knows no other
COMMAND = (sys.executable, "-P", "-m", "audio.tts.worker")

START_SECONDS = 15.0  # a start takes 0.1 s, but not on a machine that is busy or swaps
ANSWER_SECONDS = 5.0  # a sentence takes 0.01 s
PIECE_CHARACTERS = 1000  # about a minute of speech; keeps a request within a pipe's 64 KiB
LONGEST_ANSWER = 64 * 2**20  # bytes; a piece that is all digits is 20 MB
LEAD_SECONDS, TAIL_SECONDS = 0.005, 0.03  # what trimming leaves around the sound
QUIET = 0.01  # of the loudest sample: what is below it is silence


class SpeechEngine:
    """pyttsx3 in a child process that is restarted when it hangs, dies or talks nonsense.

    One thread may render at a time; `close` may be called from any other.

    Attributes:
        restarts: how many times a child had to be replaced.
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
        """Take the settings; nothing is started yet.

        Args:
            voice: a name that audio/tts/voices.py can resolve, such as "en-us" or "en-us+f3".
            rate_wpm: words per minute, clamped to 80…450.
            volume: loudness, clamped to 0…1.
            command: the program that serves as the child, without its settings.
            answer_seconds: how long one piece of text may take before the child is given up.
        """
        settings = (f"--voice={voice}", f"--rate={int(rate_wpm)}", f"--volume={volume}")
        self._command = (*command, *settings)
        self._answer_seconds = answer_seconds
        self.restarts = 0
        self._child: _Child | None = None
        self._closed = False
        self._swapping = threading.Lock()  # held for the moment in which `_child` changes
        self._using = threading.Lock()  # held while the child is being talked to

    def start(self) -> None:
        """Start the child, so that a wrong voice is found now and the first sentence is fast.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: no speech engine is installed, it failed twice in a row, or is closed.
        """
        with self._using:
            self._try_twice(lambda _: None)

    def check(self) -> None:
        """See that the child answers, and replace one that died or hangs while nobody spoke.

        Raises:
            ConfigError, SpeechError: as `start`.
        """
        with self._using:
            self._try_twice(lambda child: child.ping(self._answer_seconds))

    def render(self, text: str) -> Samples:
        """The spoken text at `rate`, without the silence that espeak puts around it.

        Text of any length and content will do; where nothing can be spoken, there are no samples.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine failed twice in a row, or it is closed.
        """
        sounds: list[Samples] = [np.zeros(0, np.int16)]
        with self._using:
            for piece in split_text(clean_text(text)):
                ask = partial(self._ask, text=piece)
                sounds.append(trim(self._try_twice(ask)))
        return np.concatenate(sounds)

    def close(self) -> None:
        """End the child at once, even in the middle of a `render`, which then fails."""
        with self._swapping:
            self._closed = True
            if self._child:
                self._child.kill()
        with self._using:  # a render under way sees the end of the pipe, and gives this up
            self._drop_child()

    def _ask(self, child: "_Child", text: str) -> Samples:
        return read_wav(child.ask(text, self._answer_seconds))

    def _try_twice(self, use: "Callable[[_Child], T]") -> T:
        """Do something with a running child; if that fails, with a fresh one."""
        for first in (True, False):
            try:
                return use(self._running_child())
            except _ChildError as error:
                reason = f"{error}{self._child.last_words() if self._child else ''}"
                self._drop_child()
                if not first:
                    raise SpeechError(
                        f"The speech engine failed twice in a row: {reason}."
                    ) from error
                self.restarts += 1
            except AfterwordError:  # another try would end the same way
                self._drop_child()
                raise
        raise AssertionError("unreachable")

    def _running_child(self) -> "_Child":
        if self._child and not self._closed:
            return self._child
        with self._swapping:
            if self._closed:
                raise SpeechError("The speech engine is closed.")
            self._child = _Child(self._command)
        self._child.wait_until_ready()
        return self._child

    def _drop_child(self) -> None:
        with self._swapping:
            child, self._child = self._child, None
        if child:
            child.close()


class _ChildError(Exception):
    """The child process died, hung or gave an answer that is none."""


class _Child:
    """One child process, its pipes, and what it wrote to its standard error."""

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
                start_new_session=True,  # Ctrl-C is for us to hear, not for the child
            )
        except OSError as error:
            os.close(self._errors)
            raise SpeechError(f"The speech engine's process does not start: {error}.") from error
        self._input = cast(IO[bytes], self._process.stdin)
        self._output = cast(IO[bytes], self._process.stdout)

    def wait_until_ready(self) -> None:
        """Wait for the settings to be in force.

        Raises:
            ConfigError: a setting is wrong.
            SpeechError: no speech engine is installed.
            _ChildError: it does not come up.
        """
        self._expect(READY, START_SECONDS)

    def ask(self, text: str, seconds: float) -> bytes:
        """The WAV file of a text.

        Raises:
            _ChildError: it did not come within `seconds`.
        """
        self._send(TEXT, text.encode())
        return self._expect(SOUND, seconds)

    def ping(self, seconds: float) -> None:
        """Return when it has shown that it is there.

        Raises:
            _ChildError: it has not within `seconds`.
        """
        self._send(PING, b"")
        self._expect(READY, seconds)

    def _send(self, kind: bytes, body: bytes) -> None:
        try:
            self._input.write(frame(kind, body))
        except OSError as error:
            raise _ChildError("its process has ended") from error

    def last_words(self) -> str:
        """The last line of its standard error, in brackets, if there is any."""
        size = os.fstat(self._errors).st_size
        lines = (
            os.pread(self._errors, 1000, max(0, size - 1000)).decode(errors="replace").split("\n")
        )
        said = [line.strip() for line in lines if line.strip()]
        return f" ({said[-1]})" if said else ""

    def kill(self) -> None:
        """End it and whatever it started, at once."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it and free the pipes; nobody may be waiting for an answer."""
        self.kill()
        self._process.wait()
        self._input.close()
        self._output.close()
        os.close(self._errors)

    def _expect(self, wanted: bytes, seconds: float) -> bytes:
        """The body of the next frame, which must be of the wanted kind."""
        deadline = time.monotonic() + seconds
        magic, kind, length = HEADER.unpack(self._read(HEADER.size, deadline, seconds))
        if magic != MAGIC or length > LONGEST_ANSWER:
            raise _ChildError("its answer makes no sense")
        body = self._read(length, deadline, seconds)
        if kind == REFUSED:
            raise ConfigError(body.decode(errors="replace"))
        if kind == FAILED:
            raise SpeechError(body.decode(errors="replace"))
        if kind != wanted:
            raise _ChildError("its answer makes no sense")
        return body

    def _read(self, length: int, deadline: float, seconds: float) -> bytes:
        """Exactly `length` bytes of its output; pipes only hold 64 KiB at a time."""
        descriptor = self._output.fileno()
        poll = select.poll()  # unlike select.select it knows descriptors above 1023
        poll.register(descriptor, select.POLLIN)
        data = bytearray()
        while len(data) < length:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise _ChildError(f"it gave no answer within {seconds:g} s")
            block = os.read(descriptor, min(length - len(data), 2**20))
            if not block:
                raise _ChildError("its process has ended")
            data += block
        return bytes(data)


def speech_environment() -> dict[str, str]:
    """Ours, so changed that the child finds our packages, and no sound server.

    The engine would open one that it never plays to, and wait for ever where the server hangs.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    packages = os.pathsep.join([home, path] if path else [home])
    return {**os.environ, "PYTHONPATH": packages, "PULSE_SERVER": "unix:/nonexistent"}


def clean_text(text: str) -> str:
    """Text on one line without what cannot be spoken: control codes, halves of characters."""
    unspoken = {"Cc", "Cs", "Co", "Cn"}  # but not Cf, whose joiners shape Indic words
    kept = (" " if unicodedata.category(mark) in unspoken else mark for mark in text)
    return " ".join("".join(kept).split())


def split_text(text: str, limit: int = PIECE_CHARACTERS) -> list[str]:
    """Cut at blanks into pieces of at most `limit` characters; in a longer word, anywhere."""
    pieces = []
    while len(text) > limit:
        blank = text.rfind(" ", 0, limit + 1)
        cut = blank if blank > 0 else limit
        pieces.append(text[:cut])
        text = text[cut:].lstrip()
    return [*pieces, text] if text else pieces


def read_wav(data: bytes) -> Samples:
    """The samples of a WAV file from the child.

    Raises:
        _ChildError: it is not a mono 16-bit WAV file at `RATE`.
    """
    try:
        with wave.open(io.BytesIO(data)) as wav:
            layout = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
    except (wave.Error, EOFError, ValueError) as error:
        raise _ChildError("its answer is not a sound") from error
    if layout != (1, 2, RATE):
        raise _ChildError("its answer is not a sound")
    return samples


def trim(samples: Samples) -> Samples:
    """Cut the silence off both ends, but for a breath."""
    loudness = np.abs(samples.astype(np.int32))
    # Most voices end in zeros, but those with an echo (en-us+f3) in a murmur.
    loud = np.flatnonzero(loudness > QUIET * loudness.max(initial=0))
    if len(loud) == 0:
        return samples[:0]
    begin = max(0, loud[0] - int(LEAD_SECONDS * RATE))
    return samples[begin : loud[-1] + 1 + int(TAIL_SECONDS * RATE)]
