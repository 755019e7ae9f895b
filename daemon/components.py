"""Builds the components from settings: source, recognition, generator, speech output, observers.

The one place that knows which implementation stands behind each Protocol of daemon/ports.py.
"""

import contextlib
import gc
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from config.errors import AudioDeviceError
from config.languages import LANGUAGES
from config.settings import Settings
from daemon.control.status import ComponentStatus
from daemon.memory import trim_heap, try_within_limit, use_one_malloc_arena
from daemon.observers import history, recordings
from daemon.ports import AudioSource, Observer
from model.checkpoints.store import WeightsInfo
from model.inference.loading import load_weights

if TYPE_CHECKING:  # each is imported where it is used; all together take seconds
    from audio.output.speech_output import SpeechOutput
    from audio.output.wav_file import WavFilePlayer
    from audio.pcm import Samples
    from audio.recognition import AudioRecognition
    from audio.stt.careful.whisper import WhisperRecognizer
    from audio.tts.engine import SpeechEngine
    from model.inference.routing import Generator

Built = TypeVar("Built")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Components:
    """Everything that serves a microphone, built from the same settings.

    Attributes:
        weights: the weights of the generator; of two, each seed chooses one.
        out: the WAV file that receives the speech instead of the loudspeaker; "-" is standard
            output.
    """

    source: AudioSource
    recognition: "AudioRecognition"
    generator: "Generator"
    speech: "SpeechOutput"
    weights: tuple[WeightsInfo, ...]
    out: Path | None = None

    def status_info(self, settings: Settings) -> ComponentStatus:
        """What `status` reports of settings, devices and models."""
        weights, *others = self.weights
        transformers = {"weights": weights, **{other.name: other for other in others}}
        return {
            "language": settings.language,
            "phrases": settings.trigger.phrases,
            "devices": {
                "input": settings.audio.input,
                "output": settings.audio.output,
                "model": self.generator.device,
            },
            "models": {
                "hearing": str(self.recognition.folder),
                **{kind: str(info.path) for kind, info in transformers.items()},
            },
            "adapters": {k: info.adapter for k, info in transformers.items() if info.adapter},
            "weights": {
                "name": weights.name,
                "made_at": round(weights.made_at),
                "bits_per_byte": weights.bits_per_byte,
            },
        }


def open_components(
    settings: Settings, out: Path | None, *, wait_for_microphone: bool
) -> Components:
    """Build everything for a microphone; devices that may be missing are looked for first.

    Raises:
        AfterwordError: as the functions below.
    """
    use_one_malloc_arena()
    try_models(settings)
    gc.disable()  # nothing that is imported and loaded here is garbage
    try:
        with contextlib.ExitStack() as undo:
            loading = _in_background(lambda: load_weights(settings))
            source = open_source(settings, None, wait_for_microphone=wait_for_microphone)
            starting = _in_background(lambda: open_engine(settings))
            undo.callback(starting.add_done_callback, _close)
            recognition = open_recognition(settings)
            generator, weights = loading.result()
            speech = open_speech_output(
                settings, out, starting.result(), wait_for_loudspeaker=wait_for_microphone
            )
            undo.pop_all()
    finally:
        gc.enable()
    trim_heap()
    return Components(source, recognition, generator, speech, weights, out)


def try_models(settings: Settings) -> None:
    """Try whether both models fit into the memory of this process, where that is limited.

    Raises:
        GenerationError: the limit is too low.
    """
    try_within_limit(lambda: (load_weights(settings), open_recognition(settings)))


def _in_background(build: "Callable[[], Built]") -> "Future[Built]":
    """Build a component in a daemon thread, for which the end of the program does not wait."""
    built: Future[Built] = Future()

    def work() -> None:
        try:
            built.set_result(build())
        except BaseException as error:  # raised in the thread that waits for the component
            built.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return built


def _close(starting: "Future[SpeechEngine]") -> None:
    if not starting.exception():
        starting.result().close()


def open_source(
    settings: Settings, wav: Path | None, *, wait_for_microphone: bool = False
) -> AudioSource:
    """The recording if one is given, else the microphone, which may be missing if it is awaited.

    Raises:
        InputError: the recording is missing or is no sound; reported before models are loaded.
        AudioDeviceError: there is no microphone.
    """
    from audio.input.file import WavFile
    from audio.input.microphone import Microphone

    if wav is not None:
        recording = WavFile(wav)
        with recording.open():
            return recording
    from audio.devices.selection import find_device

    if not wait_for_microphone:
        find_device("input", settings.audio.input)
    return Microphone(settings.audio.input)


def open_recognition(settings: Settings) -> "AudioRecognition":
    """Load the Vosk model, and the careful one if set, and build the recognition (0.5 s; 1.5 s).

    Raises:
        MissingPackageError: the careful recogniser is not installed.
        HearingModelError: a model is missing or damaged.
        ConfigError: the model does not know a word of a trigger phrase.
    """
    from audio import recognition
    from audio.stt import vosk_models

    folder = vosk_models.find(settings.language, settings.hearing.model)
    return recognition.open_recognition(
        folder,
        settings.trigger,
        settings.seed,
        settings.language,
        commands(settings),
        open_careful_recognizer(settings),
    )


def open_careful_recognizer(settings: Settings) -> "WhisperRecognizer | None":
    """The recogniser that hears seeds again, if the settings ask for it.

    Raises:
        MissingPackageError, HearingModelError: it is not installed, or its model is not usable.
    """
    if settings.hearing.seed != "careful":
        return None
    from audio.stt.careful import model_files
    from audio.stt.careful.whisper import WhisperRecognizer

    model_files.require_package(settings.language)
    return WhisperRecognizer(model_files.find(settings.hearing.careful_model), settings.language)


def commands(settings: Settings) -> Mapping[str, list[str]]:
    """The phrases that steer the conversation, by kind."""
    return {
        "stop": settings.commands.stop,
        "go on": settings.commands.go_on,
        "again": settings.commands.again,
        "never mind": settings.commands.never_mind,
    }


def open_cues(settings: Settings) -> "Mapping[str, Samples]":
    """The cues, by name.

    Raises:
        ConfigError: a sound file cannot be used.
    """
    from audio.output.cues import NAMES, load_cues

    return load_cues({name: getattr(settings.cues, name) for name in NAMES}, settings.cues.volume)


def open_speech_output(
    settings: Settings,
    out: "Path | WavFilePlayer | None",
    engine: "SpeechEngine | None" = None,
    *,
    wait_for_loudspeaker: bool = False,
) -> "SpeechOutput":
    """Open the loudspeaker, or the WAV file if one is given.

    Args:
        settings: the settings in force.
        out: the WAV file, by its path or open.
        engine: a running speech engine; None starts one.
        wait_for_loudspeaker: the loudspeaker may be missing; each reply tries to open it.

    Raises:
        OutputError: the file cannot be written.
        AudioDeviceError: there is no loudspeaker.
        ConfigError: there is no such voice.
        SpeechError: the engine does not start.
    """
    from audio.output.loudspeaker import Loudspeaker
    from audio.output.speech_output import SpeechOutput
    from audio.output.wav_file import WavFilePlayer

    engine = engine or open_engine(settings)  # first, so that a wrong voice empties no file
    written = WavFilePlayer(out) if isinstance(out, Path) else out
    sink = written or Loudspeaker(settings.audio.output)
    speech = SpeechOutput(engine, sink, settings.voice.pause_seconds, open_cues(settings))
    if wait_for_loudspeaker:
        with contextlib.suppress(AudioDeviceError):
            sink.open()
    else:
        speech.start()
    return speech


@contextlib.contextmanager
def whole_speech_output(
    settings: Settings, out: Path | None, engine: "SpeechEngine | None" = None
) -> "Iterator[SpeechOutput]":
    """The speech output of a command that speaks one text, written to `out` whole if that is given.

    Args:
        settings: the settings in force.
        out: the WAV file; None is the loudspeaker.
        engine: the speech engine; None is that of the settings.

    Raises:
        AfterwordError: as `open_speech_output` and audio.output.wav_file.whole_wav_file.
    """
    from audio.output.wav_file import whole_wav_file

    with (
        whole_wav_file(out) if out else contextlib.nullcontext() as player,
        contextlib.closing(open_speech_output(settings, player, engine)) as speech,
    ):
        yield speech


def open_engine(settings: Settings) -> "SpeechEngine":
    """Start the speech engine; espeak-ng stands by for a neural voice that fails.

    It speaks from the start where the voice is the language's default and not fetched.

    Raises:
        ConfigError: there is no such voice, or the user has chosen one that is not fetched.
        SpeechError: the engine does not start.
    """
    from audio.tts.choice import fetch_command, voice_in_force
    from audio.tts.engine import SpeechEngine
    from audio.tts.neural.engines import is_neural

    wanted, rate_wpm, volume = settings.voice.name, settings.voice.rate_wpm, settings.voice.volume
    voice = voice_in_force(wanted, settings.language)
    if voice != wanted:
        missing = f"the voice {wanted} is not fetched (`{fetch_command(wanted)}`)"
        log.info("%s; %s speaks instead", missing, voice)
    substitute = None
    if is_neural(voice):
        substitute = SpeechEngine(LANGUAGES[settings.language].espeak_voice, rate_wpm, volume)
    engine = SpeechEngine(voice, rate_wpm, volume, substitute=substitute)
    engine.start()
    return engine


def open_observers(settings: Settings) -> list[Observer]:
    """The optional observers: history and debug recordings.

    Recordings that were kept before the setting was switched off are deleted.
    """
    observers: list[Observer] = []
    if settings.history.enabled:
        limit = settings.history.max_kilobytes * 1000
        observers.append(history.History(history.history_file(), limit))
    folder, chosen = recordings.captures_folder(), settings.captures
    if chosen.keep:
        limit_seconds = chosen.expire_hours * 3600
        observers.append(recordings.DebugRecordings(folder, chosen.keep, limit_seconds))
    else:
        recordings.expire(folder, 0, 0.0)
    return observers
