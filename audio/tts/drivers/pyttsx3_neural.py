"""A driver of pyttsx3 for neural voices: `register()`, then `pyttsx3.init("neural")`.

The contract is that of pyttsx3/drivers/dummy.py, and the names are its own. Unlike the espeak
driver this one is synchronous and keeps no state for the whole process: properties take effect at
once, and speech may be written to an open file.
"""

import sys
import time
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from audio.pcm import Samples
from audio.tts.neural.engines import find_engine, installed
from audio.tts.neural.synthesizer import FloatSamples, Synthesizer
from audio.tts.sound import RATE, trim

LOUDEST = 0.98  # a louder piece is made softer as a whole rather than clipped
LOOP_SECONDS = 0.005  # between two looks of an idle loop
# Seconds of silence behind a piece at 150 words a minute, as espeak-ng's en-us pauses. Its pauses
# shorten faster than its speech, with 1 / rate - 1 / 370, and are gone from 370 words a minute on.
PAUSES = {
    **dict.fromkeys(",，、", 0.18),
    **dict.fromkeys(";:—；：", 0.28),
    **dict.fromkeys(".!?…。！？", 0.38),
}
PAUSE_WPM, NO_PAUSE_WPM = 150, 370
CLOSING = "\"'”’»)]」』）"  # marks that may follow the one that decides


def register() -> None:
    """Let pyttsx3 find this module among its drivers."""
    sys.modules["pyttsx3.drivers.neural"] = sys.modules[__name__]


def buildDriver(proxy: Any) -> "NeuralVoiceDriver":  # noqa: N802
    """Build the driver, as pyttsx3 asks for it."""
    return NeuralVoiceDriver(proxy)


class NeuralVoiceDriver:
    """One voice at a time, with the properties voice, voices, rate, volume and synthesizer."""

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy
        self._looping = False
        self._loop_has_ended = False  # before it was started
        self._properties: dict[str, Any] = {
            "voice": None,
            "rate": 200,
            "volume": 1.0,
            "synthesizer": None,
        }

    def destroy(self) -> None:
        """Free the voice."""
        self._properties["synthesizer"] = None

    def startLoop(self) -> None:  # noqa: N802
        """Carry out the queued commands until one of them is `endLoop`."""
        # Engine.runAndWait leaves the proxy idle. So in all runs but the first the commands, with
        # the endLoop behind them, are carried out as they come, before the loop is started.
        self._looping, self._loop_has_ended = not self._loop_has_ended, False
        self._proxy.setBusy(False)
        while self._looping:
            time.sleep(LOOP_SECONDS)
        self._loop_has_ended = False

    def endLoop(self) -> None:  # noqa: N802
        """End the loop, or the one that is about to be started."""
        self._looping, self._loop_has_ended = False, True

    def iterate(self) -> Iterator[None]:
        """Carry out the queued commands, for a loop outside of pyttsx3."""
        self._proxy.setBusy(False)
        yield

    def stop(self) -> None:
        """Nothing is under way when this can be called: an utterance blocks its thread."""

    def getProperty(self, name: str) -> Any:  # noqa: N802
        """A property, or KeyError."""
        if name == "voices":
            from pyttsx3.voice import Voice

            return [Voice(voice.id, voice.name, [voice.language]) for voice in installed()]
        return self._properties[name]

    def setProperty(self, name: str, value: Any) -> None:  # noqa: N802
        """Set voice, rate (words a minute) or volume (0 to 1).

        Raises:
            ConfigError, SpeechError: as the engine's `open_voice`.
            KeyError: there is no such property, as pitch.
        """
        if name == "voice":
            engine, voice = find_engine(value)
            self._properties["synthesizer"] = engine.open_voice(voice)
            self._properties["voice"] = value
        elif name in ("rate", "volume"):
            self._properties[name] = value
        else:
            raise KeyError(name)

    def say(self, text: str) -> None:
        """Speak aloud. Afterword does not use it: its own player can be stopped."""
        import sounddevice

        self._utter(text, lambda samples: sounddevice.play(samples, RATE, blocking=True))

    def save_to_file(self, text: str, file: Any) -> None:
        """Write the speech into a WAV file, given by its name or open."""
        with wave.open(file, "wb") as wav:
            wav.setparams((1, 2, RATE, 0, "NONE", ""))
            self._utter(text, lambda samples: wav.writeframes(samples.tobytes()))

    def _utter(self, text: str, put: Callable[[Samples], None]) -> None:
        self._proxy.setBusy(True)
        self._proxy.notify("started-utterance")
        completed = False
        try:
            put(self._speech(text))
            completed = True
        finally:
            self._proxy.notify("finished-utterance", completed=completed)
            self._proxy.setBusy(False)

    def _speech(self, text: str) -> Samples:
        """The speech of a piece, with a pause behind it if it ends in a mark."""
        voice: Synthesizer = self._properties["synthesizer"]
        rate_wpm = self._properties["rate"]
        sound = trim(_pcm(voice.render(text, rate_wpm), voice, self._properties["volume"]))
        seconds = PAUSES.get(text.rstrip(CLOSING)[-1:], 0.0) * _pause_factor(rate_wpm)
        return np.concatenate((sound, np.zeros(int(seconds * RATE), np.int16)))


def _pause_factor(rate_wpm: int) -> float:
    """How long a pause is, beside that at PAUSE_WPM."""
    longer = 1 / PAUSE_WPM - 1 / NO_PAUSE_WPM
    return max(1 / rate_wpm - 1 / NO_PAUSE_WPM, 0.0) / longer


def _pcm(samples: FloatSamples, voice: Synthesizer, volume: float) -> Samples:
    """The samples at RATE, as loud as espeak-ng's at this volume."""
    if len(samples) == 0:
        return np.zeros(0, np.int16)
    if voice.rate != RATE:
        import soxr

        samples = soxr.resample(samples, voice.rate, RATE)
    gain = volume * voice.gain
    loudest = float(np.abs(samples).max()) * gain
    gain *= min(1.0, LOUDEST / loudest) if loudest else 1.0
    return (samples * gain * np.iinfo(np.int16).max).astype(np.int16)
