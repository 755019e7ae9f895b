"""Joins the parts: settings in, sources, hearing, generators and speakers out.

The one place that knows which implementation stands behind each port.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from config.errors import AudioDeviceError
from config.settings import Settings
from daemon.ports import AudioSource, Generator, Hearing, Speaker


def open_source(settings: Settings, wav: Path | None, *, patient: bool = False) -> AudioSource:
    """The recording where one is given, else the microphone; it may be missing if we are patient.

    Raises:
        InputError: the recording is missing or is no sound; better told before seconds of loading.
        AudioDeviceError: there is no microphone.
    """
    from audio.source import Microphone, WavFile

    if wav is not None:
        recording = WavFile(wav)
        with recording.open():
            return recording
    from audio.devices import find_device

    if not patient:
        find_device("input", settings.audio.input)
    return Microphone(settings.audio.input)


def open_hearing(settings: Settings) -> Hearing:
    """Load the recogniser (0.5 s).

    Raises:
        HearingModelError: its model is missing or damaged.
        ConfigError: it does not know a word of a trigger phrase.
    """
    from audio import hearing, vosk_models

    folder = vosk_models.find(settings.language, settings.hearing.model)
    return hearing.open_hearing(folder, settings.trigger, settings.seed, settings.language)


def open_generator(settings: Settings) -> Generator:
    """Load the Transformer (2 s, most of it torch).

    Raises:
        WeightsError: its weights are missing or damaged.
        ConfigError: there is no such device.
    """
    from model.generator import GeneratorOptions, load_generator
    from model.sampler import SamplingOptions
    from model.weights_store import find_weights

    chosen = settings.model
    sampling = SamplingOptions(
        chosen.temperature, chosen.top_k, chosen.top_p, chosen.repetition_penalty, chosen.min_p
    )
    options = GeneratorOptions(
        sampling, chosen.max_sentences, chosen.max_new_tokens, chosen.random_seed
    )
    weights = find_weights(settings.language, chosen.weights)
    return load_generator(weights, options, chosen.device, chosen.threads)


def open_speaker(settings: Settings, out: Path | None, *, patient: bool = False) -> Speaker:
    """Start the speech engine and open the loudspeaker, or the WAV file where one is given.

    If we are patient, the loudspeaker may be missing: each reply looks for it anew.

    Raises:
        OutputError: the file cannot be written.
        AudioDeviceError: there is no loudspeaker.
        ConfigError: there is no such voice.
        SpeechError: the engine does not start.
    """
    from audio.player import StreamPlayer, WavFilePlayer
    from audio.speaker import Speaker as SentenceSpeaker
    from audio.speech import SpeechEngine

    voice = settings.voice
    engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
    engine.start()  # before the file is made: a wrong voice must not empty an older one
    sink = WavFilePlayer(out) if out else StreamPlayer(settings.audio.output)
    speaker = SentenceSpeaker(engine, sink, voice.pause_seconds)
    if patient:
        with contextlib.suppress(AudioDeviceError):
            sink.open()
    else:
        speaker.start()
    return speaker


def describe(settings: Settings) -> Mapping[str, object]:
    """What `status` tells of devices and models.

    Raises:
        HearingModelError, WeightsError: there are none.
    """
    from audio import vosk_models
    from model.device import choose_device
    from model.weights_store import find_weights

    return {
        "language": settings.language,
        "phrases": settings.trigger.phrases,
        "devices": {
            "input": settings.audio.input,
            "output": settings.audio.output,
            "model": str(choose_device(settings.model.device)),
        },
        "models": {
            "hearing": str(vosk_models.find(settings.language, settings.hearing.model)),
            "weights": str(find_weights(settings.language, settings.model.weights)),
        },
        "voice": settings.voice.name,
    }
