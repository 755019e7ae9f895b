"""Sentences to sound: the engine renders the next one while the sink plays those before it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audio.output.buffer import Cancelled
from audio.output.word_timeline import PlayedText, words_between
from audio.pcm import Samples
from audio.tts.engine import clean_text, split_text
from config.errors import AfterwordError, AudioDeviceError, ConfigError


class TtsEngine(Protocol):
    """Text to samples."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    @property
    def restarts(self) -> int:
        """How many times it has broken down and gone on."""

    def start(self) -> None:
        """Be ready, or raise what is wrong."""

    def check(self) -> None:
        """Be ready still, or raise what is wrong."""

    def render(self, text: str) -> Samples:
        """The spoken text, without silence around it."""

    def close(self) -> None:
        """End a `render` under way in another thread, which then raises."""


class AudioSink(Protocol):
    """Samples to the ear, or to a file."""

    @property
    def started_at(self) -> float | None:
        """The monotonic time (seconds) at which the first sample since `open` sounds."""

    def open(self) -> None:
        """Be ready to play."""

    def play(self, samples: Samples, cancelled: Cancelled) -> None:
        """Queue samples and return soon; some seconds may be queued."""

    def wait(self, cancelled: Cancelled) -> None:
        """Return when all that was queued has sounded."""

    def stop(self) -> None:
        """Fall silent softly and drop what is queued."""

    def cue(self, samples: Samples) -> bool:
        """Sound this at once, beside what plays; False where nothing can sound."""

    def hold(self, seconds: float) -> None:
        """Fall silent for so long, then go on."""

    def close(self) -> None:
        """Fall silent and free the device; what another thread then plays goes nowhere."""


@dataclass(frozen=True)
class Spoken:
    """What became of one `say`.

    Attributes:
        started_at: monotonic time (seconds) at which the first sample sounded; None if none did.
        sentences: how many were handed to the sink.
        seconds: the length of their sound and pauses; on `cancelled` not all of it was heard.
        cancelled: whether it was cut off.
    """

    started_at: float | None
    sentences: int
    seconds: float
    cancelled: bool


class SpeechOutput:
    """Speaks sentences as they come.

    One thread says; `close` may be called from any other and does not wait for it.
    """

    def __init__(
        self,
        engine: TtsEngine,
        sink: AudioSink,
        pause_seconds: float,
        cues: Mapping[str, Samples] | None = None,
    ) -> None:
        """Join the parts; `pause_seconds` of silence follow every sentence."""
        self._engine = engine
        self._sink = sink
        self._pause = _silence(engine, pause_seconds)
        self._cues = cues or {}
        self._closed = False
        self._restarts = 0  # of engines we had before
        self.spoken = Spoken(None, 0, 0.0, False)  # the last `say`
        self._begins: tuple[float, ...] = ()  # monotonic time at which each sentence sounds
        self._until = 0.0  # ... and at which all that is queued has sounded
        self._said: tuple[PlayedText, ...] = ()
        self._late = 0.0  # seconds by which it may sound later, for it was held

    def start(self) -> None:
        """Start the engine and open the sink: problems show now, the first sentence is fast.

        Raises:
            ConfigError: there is no such voice or loudspeaker.
            SpeechError: there is no speech engine.
            AudioDeviceError: there is no loudspeaker.
        """
        try:
            self._engine.start()
            self._sink.open()
        except Exception:
            self.close()
            raise

    def say(
        self,
        sentences: Iterable[str],
        cancelled: Cancelled,
        await_leave: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak the sentences as they come; return when the last has sounded.

        On `cancelled` the sound fades out and this returns; it is looked at between sentences
        and while waiting. `spoken` then tells what happened. `await_leave` is called when the first
        sound is ready, and may wait until it is wanted.

        Raises:
            ConfigError: there is no such voice or loudspeaker.
            SpeechError: the engine failed twice in a row.
            AudioDeviceError: the loudspeaker is gone.
            OutputError: the file that receives the speech cannot be written.
        """

        def ended() -> bool:
            return self._closed or cancelled()

        self.spoken = Spoken(None, 0, 0.0, False)
        self._begins, self._until, self._said, self._late = (), 0.0, (), 0.0
        try:
            self._sink.open()
            for sentence in sentences:
                self._say_one(sentence, ended, await_leave)
                if ended():
                    break
            self._sink.wait(ended)
        except Exception as error:
            self._sink.stop()
            if not (self._closed and isinstance(error, AfterwordError)):
                raise  # else it failed because we are closing
        finally:
            self._report(ended())
        if ended():
            self._sink.stop()

    def cue(self, name: str) -> bool:
        """Sound a cue at once, beside what is being said; one that is off is silence.

        Returns:
            False where it could not sound, for the loudspeaker must be opened anew: see `check`.
        """
        return name not in self._cues or self._sink.cue(self._cues[name])

    def hold(self, seconds: float) -> None:
        """Fall silent for so long, then go on; for any thread."""
        self._late += seconds
        self._sink.hold(seconds)

    @property
    def started_at(self) -> float | None:
        """The monotonic time at which the newest `say` began to sound; None before."""
        return self._sink.started_at

    @property
    def sounding(self) -> int:
        """How many sentences of the last `say` have begun to sound; for any thread."""
        return sum(begin <= time.monotonic() for begin in self._begins)

    def words_between(self, begin: float, end: float) -> str:
        """The words of the last `say` that may have sounded between two monotonic times."""
        return words_between(self._said, begin - self._late, end)

    @property
    def restarts(self) -> int:
        """How many times the engine has broken down and gone on."""
        return self._restarts + self._engine.restarts

    def check(self) -> None:
        """See that the engine is ready, and mend it where it is not; not during a `say`.

        A loudspeaker that was away is opened anew, so that the next cue sounds at once.

        Raises:
            ConfigError, SpeechError: it cannot be mended.
        """
        with suppress(AudioDeviceError, ConfigError):
            self._sink.open()
        self._engine.check()

    def renew(
        self,
        engine: TtsEngine | None,
        sink: AudioSink | None,
        pause_seconds: float,
        cues: Mapping[str, Samples] | None = None,
    ) -> None:
        """Speak with these from the next `say` on, and close what they replace; not during one.

        None keeps what there is.
        """
        if engine is not None:
            old, self._engine = self._engine, engine
            self._restarts += old.restarts
            old.close()
        if sink is not None:
            silent, self._sink = self._sink, sink
            silent.close()
        self._pause = _silence(self._engine, pause_seconds)
        self._cues = cues or {}
        if self._closed:  # from another thread, meanwhile
            self.close()

    def close(self) -> None:
        """Fall silent at once and free the device and the child process."""
        self._closed = True
        self._sink.close()
        self._engine.close()

    def _say_one(self, sentence: str, ended: Cancelled, await_leave: Callable[[], None]) -> None:
        """Render and queue one sentence and the pause after it; a very long one in pieces."""
        length = 0
        for piece in split_text(clean_text(sentence)):
            if ended():
                return
            samples = self._engine.render(piece)
            if not self._begins and len(samples):
                await_leave()
            self._note(samples, piece, first=length == 0)
            self._sink.play(samples, ended)
            length += len(samples)
        if length == 0 or ended():
            return
        pause = self._pause[: self._pause_length(sentence)]
        self._note(pause)
        self._sink.play(pause, ended)
        seconds = self.spoken.seconds + (length + len(pause)) / self._engine.rate
        self.spoken = Spoken(None, self.spoken.sentences + 1, seconds, False)

    def _pause_length(self, sentence: str) -> int:
        """Samples of silence after it; a clause that goes on has a shorter one."""
        clause = sentence.rstrip().endswith((",", ";", ":", "，", "；", "："))
        return len(self._pause) // 3 if clause else len(self._pause)

    def _note(self, samples: Samples, text: str = "", first: bool = False) -> None:
        """Reckon when samples about to be queued will sound; the `first` of a sentence count."""
        begin = max(self._until, time.monotonic())
        self._until = begin + len(samples) / self._engine.rate
        if first and len(samples):
            self._begins += (begin,)
        if text:
            self._said += (PlayedText(text, begin, self._until),)

    def _report(self, cancelled: bool) -> None:
        last = self.spoken
        self.spoken = Spoken(self._sink.started_at, last.sentences, last.seconds, cancelled)


def _silence(engine: TtsEngine, seconds: float) -> Samples:
    return np.zeros(int(seconds * engine.rate), np.int16)
