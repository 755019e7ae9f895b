"""Joins the parts: settings in, sources, hearing, generators and speakers out.

The one place that knows which implementation stands behind each port.
"""

import contextlib
import gc
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from config.errors import AudioDeviceError
from config.settings import Settings
from daemon.memory import trim_heap, use_one_malloc_arena
from daemon.ports import AudioSource
from model.checkpoints.store import WeightsInfo
from model.inference.loading import load_weights

if TYPE_CHECKING:  # each is imported where it is used; all together take seconds
    from audio.output.speech_output import Samples, SpeechOutput
    from audio.recognition import AudioRecognition
    from audio.tts.engine import SpeechEngine
    from model.inference.generator import TextGenerator

Made = TypeVar("Made")


@dataclass(frozen=True)
class Components:
    """All that serves a microphone, made from the same settings."""

    source: AudioSource
    hearing: "AudioRecognition"
    generator: "TextGenerator"
    speaker: "SpeechOutput"
    weights: WeightsInfo
    out: Path | None = None  # receives the speech instead of the loudspeaker

    def about(self, settings: Settings) -> Mapping[str, object]:
        """What `status` tells of settings, devices and models: those that are loaded."""
        weights = self.weights
        return {
            "language": settings.language,
            "phrases": settings.trigger.phrases,
            "devices": {
                "input": settings.audio.input,
                "output": settings.audio.output,
                "model": self.generator.device,
            },
            "models": {"hearing": str(self.hearing.folder), "weights": str(weights.path)},
            "weights": {
                "name": weights.name,
                "made_at": round(weights.made_at),
                "bits_per_byte": weights.bits_per_byte,
            },
            "voice": settings.voice.name,
        }


def open_components(settings: Settings, out: Path | None, *, patient: bool) -> Components:
    """Everything for a microphone; what may be missing is looked for first.

    Raises:
        AfterwordError: as the functions below.
    """
    use_one_malloc_arena()
    gc.disable()  # nothing of what is imported and loaded here is garbage
    try:
        with contextlib.ExitStack() as undo:
            loading = _beside(lambda: load_weights(settings))
            source = open_source(settings, None, patient=patient)
            starting = _beside(lambda: open_engine(settings))
            undo.callback(starting.add_done_callback, _close)
            hearing = open_recognition(settings)
            generator, weights = loading.result()
            speaker = open_speech_output(settings, out, starting.result(), patient=patient)
            undo.pop_all()
    finally:
        gc.enable()
    trim_heap()
    return Components(source, hearing, generator, speaker, weights, out)


def _beside(make: "Callable[[], Made]") -> "Future[Made]":
    """Make a part in a thread of its own, which does not hold up the end of the program."""
    made: Future[Made] = Future()

    def work() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # it belongs to who waits for the part
            made.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return made


def _close(starting: "Future[SpeechEngine]") -> None:
    if not starting.exception():
        starting.result().close()


def open_source(settings: Settings, wav: Path | None, *, patient: bool = False) -> AudioSource:
    """The recording where one is given, else the microphone; it may be missing if we are patient.

    Raises:
        InputError: the recording is missing or is no sound; better told before seconds of loading.
        AudioDeviceError: there is no microphone.
    """
    from audio.input.file import WavFile
    from audio.input.microphone import Microphone

    if wav is not None:
        recording = WavFile(wav)
        with recording.open():
            return recording
    from audio.devices.selection import find_device

    if not patient:
        find_device("input", settings.audio.input)
    return Microphone(settings.audio.input)


def open_recognition(settings: Settings) -> "AudioRecognition":
    """Load the recogniser (0.5 s).

    Raises:
        HearingModelError: its model is missing or damaged.
        ConfigError: it does not know a word of a trigger phrase.
    """
    from audio import recognition
    from audio.stt import vosk_models

    folder = vosk_models.find(settings.language, settings.hearing.model)
    return recognition.open_recognition(
        folder, settings.trigger, settings.seed, settings.language, commands(settings)
    )


def commands(settings: Settings) -> Mapping[str, list[str]]:
    """The phrases that steer the conversation, by kind."""
    return {
        "stop": settings.trigger.stop_phrases,
        "go on": settings.conversation.go_on_phrases,
        "again": settings.conversation.again_phrases,
        "never mind": settings.conversation.never_mind_phrases,
    }


def open_cues(settings: Settings) -> "Mapping[str, Samples]":
    """The short tones.

    Raises:
        ConfigError: a sound file cannot be used.
    """
    from audio.output.cues import NAMES, load_cues

    return load_cues({name: getattr(settings.cues, name) for name in NAMES}, settings.cues.volume)


def open_generator(settings: Settings) -> "TextGenerator":
    """Load the Transformer (2 s, most of it torch).

    Raises:
        WeightsError: its weights are missing or damaged.
        ConfigError: there is no such device.
    """
    return load_weights(settings)[0]


def open_speech_output(
    settings: Settings,
    out: Path | None,
    engine: "SpeechEngine | None" = None,
    *,
    patient: bool = False,
) -> "SpeechOutput":
    """Open the loudspeaker, or the WAV file where one is given.

    Args:
        settings: those in force.
        out: the WAV file.
        engine: the speech engine; it is started where it does not run already.
        patient: the loudspeaker may be missing: each reply looks for it anew.

    Raises:
        OutputError: the file cannot be written.
        AudioDeviceError: there is no loudspeaker.
        ConfigError: there is no such voice.
        SpeechError: the engine does not start.
    """
    from audio.output.loudspeaker import Loudspeaker, WavFilePlayer
    from audio.output.speech_output import SpeechOutput

    engine = engine or open_engine(settings)  # first: a wrong voice must not empty the file
    sink = WavFilePlayer(out) if out else Loudspeaker(settings.audio.output)
    speaker = SpeechOutput(engine, sink, settings.voice.pause_seconds, open_cues(settings))
    if patient:
        with contextlib.suppress(AudioDeviceError):
            sink.open()
    else:
        speaker.start()
    return speaker


def open_engine(settings: Settings) -> "SpeechEngine":
    """Start the speech engine.

    Raises:
        ConfigError: there is no such voice.
        SpeechError: the engine does not start.
    """
    from audio.tts.engine import SpeechEngine

    voice = settings.voice
    engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
    engine.start()
    return engine
