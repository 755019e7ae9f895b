"""Sentences to audio: the engine synthesizes the next one while the sink plays the ones before."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol

import numpy as np

from audio.output.buffer import Cancelled
from audio.output.word_timeline import PlayedText, words_between
from audio.pcm import Samples
from config.errors import AfterwordError, AudioDeviceError, ConfigError


class TtsEngine(Protocol):
    """Text to speech."""

    @property
    def rate(self) -> int:
        """Samples per second."""

    @property
    def restarts(self) -> int:
        """How many times the engine has failed and been replaced."""

    def start(self) -> None:
        """Get ready, or raise the reason why not."""

    def check(self) -> None:
        """Check that the engine is still ready; recover, or raise the reason why not."""

    @property
    def voice(self) -> str:
        """The voice in force."""

    def stream(self, text: str, cancelled: Cancelled) -> Iterator[tuple[str, Samples]]:
        """Yield each piece of the text with its speech, without silence around it.

        A piece may take a second; once it is cancelled, which is polled, there are no more.
        """

    def close(self) -> None:
        """End a `stream` under way in another thread, which then raises."""


class AudioSink(Protocol):
    """Plays samples aloud, or writes them to a file; mono and 16-bit, at the engine's rate."""

    @property
    def started_at(self) -> float | None:
        """The monotonic time (seconds) at which the first sample since `open` sounds."""

    def open(self) -> None:
        """Get ready to play."""

    def play(self, samples: Samples, cancelled: Cancelled) -> None:
        """Queue samples and return soon; some seconds may be queued."""

    def wait(self, cancelled: Cancelled) -> None:
        """Return when all queued samples have sounded."""

    def stop(self) -> None:
        """Fade out and drop the queued samples."""

    def cue(self, samples: Samples) -> bool:
        """Play a cue at once, mixed into the speech; False if no device can play it."""

    def pause(self, seconds: float) -> None:
        """Pause playback for so many seconds, then resume."""

    def close(self) -> None:
        """Fade out and free the device; samples that another thread then plays are dropped."""


class SpeechOutput:
    """Speaks sentences as they come.

    One thread speaks; `close` may be called from any other and does not wait for it.
    """

    def __init__(
        self,
        engine: TtsEngine,
        sink: AudioSink,
        pause_seconds: float,
        cues: Mapping[str, Samples] | None = None,
    ) -> None:
        """Join engine and sink; `pause_seconds` of silence follow every sentence."""
        self._engine = engine
        self._sink = sink
        self._pause = _silence(engine, pause_seconds)
        self._cues = cues or {}
        self._closed = False
        self._restarts = 0  # of engines that were replaced
        # Of the newest reply, in monotonic time:
        self._sentence_starts: tuple[float, ...] = ()
        self._queue_end = 0.0  # when all that is queued has sounded
        self._played: tuple[PlayedText, ...] = ()
        self._paused_seconds = 0.0  # by which words may sound later than reckoned
        self._stopped_at = math.inf

    def start(self) -> None:
        """Start the engine and open the sink: faults show now, and the first sentence is fast.

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

    def speak(
        self,
        sentences: Iterable[str],
        cancelled: Cancelled,
        wait_until_confirmed: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak the sentences as they come; return when the last has sounded.

        On `cancelled` the sound fades out and this returns; it is polled between pieces of text
        and while waiting. `wait_until_confirmed` is called when the first samples are ready to
        play; it may block until the reply is wanted (preemptive generation).

        Raises:
            ConfigError: there is no such voice or loudspeaker.
            SpeechError: the engine failed twice in a row.
            AudioDeviceError: the loudspeaker is gone.
            OutputError: the file that receives the speech cannot be written.
        """

        def ended() -> bool:
            return self._closed or cancelled()

        self._sentence_starts, self._queue_end = (), 0.0
        self._played, self._paused_seconds, self._stopped_at = (), 0.0, math.inf
        try:
            self._sink.open()
            for sentence in sentences:
                self._speak_sentence(sentence, ended, wait_until_confirmed)
                if ended():
                    break
            self._sink.wait(ended)
        except Exception as error:
            self._sink.stop()
            if not (self._closed and isinstance(error, AfterwordError)):
                raise  # else it failed because of `close`
        if ended():
            self._sink.stop()
            self._stopped_at = time.monotonic()

    def cue(self, name: str) -> bool:
        """Play a cue at once, mixed into the speech; a cue that is off is silent.

        Returns:
            False if it could not be played until `check` has reopened the loudspeaker.
        """
        return name not in self._cues or self._sink.cue(self._cues[name])

    def pause(self, seconds: float) -> None:
        """Pause playback for so many seconds, then resume; for any thread."""
        self._paused_seconds += seconds
        self._sink.pause(seconds)

    @property
    def started_at(self) -> float | None:
        """The monotonic time at which the newest reply began to sound; None before."""
        return self._sink.started_at

    @property
    def sounding(self) -> int:
        """How many sentences of the newest reply have begun to sound; for any thread."""
        return sum(start <= time.monotonic() for start in self._sentence_starts)

    def words_between(self, begin: float, end: float) -> str:
        """The words of the newest reply that may have sounded between two monotonic times."""
        end = min(end, self._stopped_at)
        return words_between(self._played, begin - self._paused_seconds, end) if begin < end else ""

    @property
    def voice(self) -> str:
        """The voice in force; not the one of the settings where that does not work."""
        return self._engine.voice

    @property
    def restarts(self) -> int:
        """How many times the engine has failed and been replaced."""
        return self._restarts + self._engine.restarts

    def check(self) -> None:
        """Check that the engine is ready, and recover if it is not; not during `speak`.

        A lost loudspeaker is reopened, so that the next cue is played at once.

        Raises:
            ConfigError, SpeechError: the engine does not recover.
        """
        with suppress(AudioDeviceError, ConfigError):
            self._sink.open()
        self._engine.check()

    def reconfigure(
        self,
        engine: TtsEngine | None,
        sink: AudioSink | None,
        pause_seconds: float,
        cues: Mapping[str, Samples] | None = None,
    ) -> None:
        """Use these from the next reply on, and close the replaced ones; not during `speak`.

        None keeps the present engine or sink.
        """
        if engine is not None:
            old, self._engine = self._engine, engine
            self._restarts += old.restarts
            old.close()
        if sink is not None:
            idle, self._sink = self._sink, sink
            idle.close()
        self._pause = _silence(self._engine, pause_seconds)
        self._cues = cues or {}
        if self._closed:  # meanwhile, by another thread
            self.close()

    def close(self) -> None:
        """Fade out at once and free the device and the worker process."""
        self._closed = True
        self._sink.close()
        self._engine.close()

    def _speak_sentence(
        self, sentence: str, ended: Cancelled, wait_until_confirmed: Callable[[], None]
    ) -> None:
        """Synthesize and queue one sentence and the pause after it; a very long one in pieces."""
        length = 0
        pieces = self._engine.stream(sentence, ended)
        while not ended() and (piece := next(pieces, None)):
            text, samples = piece
            if not self._sentence_starts and len(samples):
                wait_until_confirmed()
            self._schedule(samples, text, first=length == 0)
            self._sink.play(samples, ended)
            length += len(samples)
        if length == 0 or ended():
            return
        pause = self._pause[: self._pause_length(sentence)]
        self._schedule(pause)
        self._sink.play(pause, ended)

    def _pause_length(self, sentence: str) -> int:
        """Samples of silence after a sentence; a third after a clause that goes on."""
        clause = sentence.rstrip().endswith((",", ";", ":", "，", "；", "："))
        return len(self._pause) // 3 if clause else len(self._pause)

    def _schedule(self, samples: Samples, text: str = "", first: bool = False) -> None:
        """Reckon when samples about to be queued will sound; `first` begins a sentence."""
        begin = max(self._queue_end, time.monotonic())
        self._queue_end = begin + len(samples) / self._engine.rate
        if first and len(samples):
            self._sentence_starts += (begin,)
        if text:
            self._played += (PlayedText(text, begin, self._queue_end),)


def _silence(engine: TtsEngine, seconds: float) -> Samples:
    return np.zeros(int(seconds * engine.rate), np.int16)
