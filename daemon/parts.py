"""Joins the parts: settings in, sources, hearing, generators and speakers out.

The one place that knows which implementation stands behind each port.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import AfterwordError, AudioDeviceError, RefusedError, WeightsError
from config.load import Loaded
from config.settings import Settings
from daemon import logs
from daemon.keepers import open_keepers
from daemon.manners import Manners, manners
from daemon.memory import give_back_memory
from daemon.ports import AudioSource, Change
from model.weights_store import Kept, describe, find_weights, own_weights, previous, shipped_weights

if TYPE_CHECKING:  # each is imported where it is used; all together take seconds
    from audio.hearing import Hearing
    from audio.speaker import Samples, Speaker
    from audio.speech import SpeechEngine
    from model.generator import GeneratorOptions, TextGenerator

log = logging.getLogger(__name__)

TRIAL_SEED = {"en": "once upon a time", "zh": "春"}  # what new weights must be able to go on with
TRIAL_TOKENS = 24


@dataclass(frozen=True)
class Parts:
    """All that serves a microphone, made from the same settings."""

    source: AudioSource
    hearing: "Hearing"
    generator: "TextGenerator"
    speaker: "Speaker"
    weights: Kept
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


def open_parts(settings: Settings, out: Path | None, *, patient: bool) -> Parts:
    """Everything for a microphone; what may be missing is looked for first.

    Raises:
        AfterwordError: as the functions below.
    """
    threading.Thread(target=_import_torch, daemon=True).start()
    source = open_source(settings, None, patient=patient)
    hearing = open_hearing(settings)
    generator, weights = load_weights(settings)
    speaker = open_speaker(settings, out, patient=patient)
    give_back_memory()
    return Parts(source, hearing, generator, speaker, weights, out)


def _import_torch() -> None:
    """It takes more than a second, in which Vosk can load on the other core."""
    with contextlib.suppress(Exception):  # `load_weights` meets it again, and can tell
        import model.generator  # noqa: F401


def open_source(settings: Settings, wav: Path | None, *, patient: bool = False) -> AudioSource:
    """The recording where one is given, else the microphone; it may be missing if we are patient.

    Raises:
        InputError: the recording is missing or is no sound; better told before seconds of loading.
        AudioDeviceError: there is no microphone.
    """
    from audio.microphone import Microphone
    from audio.source import WavFile

    if wav is not None:
        recording = WavFile(wav)
        with recording.open():
            return recording
    from audio.devices import find_device

    if not patient:
        find_device("input", settings.audio.input)
    return Microphone(settings.audio.input)


def open_hearing(settings: Settings) -> "Hearing":
    """Load the recogniser (0.5 s).

    Raises:
        HearingModelError: its model is missing or damaged.
        ConfigError: it does not know a word of a trigger phrase.
    """
    from audio import hearing, vosk_models

    folder = vosk_models.find(settings.language, settings.hearing.model)
    return hearing.open_hearing(
        folder, settings.trigger, settings.seed, settings.language, commands(settings)
    )


def commands(settings: Settings) -> Mapping[str, list[str]]:
    """The phrases that may need no trigger, by kind."""
    return {
        "stop": settings.trigger.stop_phrases,
        "go on": settings.conversation.go_on_phrases,
        "again": settings.conversation.again_phrases,
    }


def open_manners(settings: Settings) -> Manners:
    """What words steer the conversation."""
    phrases = {**commands(settings), "never mind": settings.conversation.never_mind_phrases}
    return manners(phrases, settings.conversation.follow_up_seconds)


def open_cues(settings: Settings) -> "Mapping[str, Samples]":
    """The short tones.

    Raises:
        ConfigError: a sound file cannot be used.
    """
    from audio.cues import NAMES, load_cues

    return load_cues({name: getattr(settings.cues, name) for name in NAMES}, settings.cues.volume)


def open_generator(settings: Settings) -> "TextGenerator":
    """Load the Transformer (2 s, most of it torch).

    Raises:
        WeightsError: its weights are missing or damaged.
        ConfigError: there is no such device.
    """
    return load_weights(settings)[0]


def load_weights(settings: Settings) -> tuple["TextGenerator", Kept]:
    """Load the Transformer, and tell which weights it has.

    Where the user's own are damaged, and the settings name none, those before them serve: a service
    that starts with a word of complaint is better than one that does not start.

    Raises:
        WeightsError: its weights are missing or damaged.
        ConfigError: there is no such device.
    """
    first = find_weights(settings.language, settings.model.weights)
    try:
        return _load(settings, first)
    except WeightsError as error:
        if first != own_weights(settings.language) or settings.model.weights is not None:
            raise
        log.error("%s Others are used meanwhile.", error)
        for path in [old.path for old in previous(first)]:
            with contextlib.suppress(WeightsError):
                return _load(settings, path)
        return _load(settings, shipped_weights(settings.language))


def _load(settings: Settings, path: Path) -> tuple["TextGenerator", Kept]:
    from model.generator import load_generator

    weights = describe(path)
    if weights.language not in ("", settings.language):
        raise WeightsError(
            f'{path} is of the language "{weights.language}", not "{settings.language}"; '
            f"use other weights or another language."
        )
    chosen = settings.model
    options = generator_options(settings)
    return load_generator(path, options, chosen.device, chosen.threads), weights


def generator_options(settings: Settings) -> "GeneratorOptions":
    """What to say and when to stop."""
    from model.generator import GeneratorOptions
    from model.sampler import SamplingOptions

    chosen = settings.model
    sampling = SamplingOptions(
        chosen.temperature, chosen.top_k, chosen.top_p, chosen.repetition_penalty, chosen.min_p
    )
    return GeneratorOptions(
        sampling, chosen.max_sentences, chosen.max_new_tokens, chosen.random_seed
    )


def open_speaker(settings: Settings, out: Path | None, *, patient: bool = False) -> "Speaker":
    """Start the speech engine and open the loudspeaker, or the WAV file where one is given.

    If we are patient, the loudspeaker may be missing: each reply looks for it anew.

    Raises:
        OutputError: the file cannot be written.
        AudioDeviceError: there is no loudspeaker.
        ConfigError: there is no such voice.
        SpeechError: the engine does not start.
    """
    from audio.player import StreamPlayer, WavFilePlayer
    from audio.speaker import Speaker

    engine = open_engine(settings)  # before the file is made: a wrong voice must not empty it
    sink = WavFilePlayer(out) if out else StreamPlayer(settings.audio.output)
    speaker = Speaker(engine, sink, settings.voice.pause_seconds, open_cues(settings))
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
    from audio.speech import SpeechEngine

    voice = settings.voice
    engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
    engine.start()
    return engine


# What must be made anew when these change; a name that ends with a dot means a whole section.
INPUT_KEYS = ("audio.input",)
OUTPUT_KEYS = ("audio.output",)
ENGINE_KEYS = ("voice.name", "voice.rate_wpm", "voice.volume")
SPEAKER_KEYS = (*ENGINE_KEYS, *OUTPUT_KEYS, "voice.pause_seconds", "cues.")
RECOGNISER_KEYS = ("language", "hearing.")  # else new grammars on the same model will do
HEARING_KEYS = (*RECOGNISER_KEYS, "trigger.", "seed.", "conversation.")
WEIGHTS_KEYS = ("language", "model.weights", "model.device", "model.threads")
MODEL_KEYS = (*WEIGHTS_KEYS, "model.")
KEEPER_KEYS = ("history.", "captures.")
LOG_KEYS = ("log.level",)
ALL_KEYS = (*INPUT_KEYS, *SPEAKER_KEYS, *HEARING_KEYS, *MODEL_KEYS, *KEEPER_KEYS, *LOG_KEYS)


def touched(keys: Iterable[str], names: Collection[str]) -> bool:
    """Whether one of the keys is among the names, or in a section among them."""
    return any(key in names or f"{key.partition('.')[0]}." in names for key in keys)


def untaken(keys: Iterable[str]) -> list[str]:
    """Those of the keys that count at the next start only."""
    return [key for key in keys if not touched([key], ALL_KEYS)]


def renew(old: Parts, new: Loaded, keys: Collection[str], *, weights: bool) -> tuple[Parts, Change]:
    """Make what changed settings or new weights need, and nothing else, beside the old parts.

    Args:
        old: the parts that serve, to be left as they are.
        new: the settings to be.
        keys: what is different in them.
        weights: the weights file is another one.

    Returns:
        the parts to be, and what to tell the loop.

    Raises:
        RefusedError: something cannot be made; nothing has changed then. It names file, line, key.
    """
    with contextlib.ExitStack() as undo:
        with _blaming(new, keys, SPEAKER_KEYS):
            speak_anew = _renew_speaker(old, new.settings, keys, undo.callback)
        with _blaming(new, keys, HEARING_KEYS):
            hearing = _renew_hearing(old, new.settings, keys)
        with _blaming(new, keys, INPUT_KEYS):
            source = open_source(new.settings, None) if touched(keys, INPUT_KEYS) else None
        with _blaming(new, keys, WEIGHTS_KEYS):
            generator, kept = _renew_generator(old, new.settings, keys, weights)
        undo.pop_all()
    made = Parts(
        source or old.source,
        hearing or old.hearing,
        generator or old.generator,
        old.speaker,
        kept or old.weights,
        old.out,
    )
    if touched(keys, LOG_KEYS):
        logs.set_level(new.settings.log.level)
    about, told = made.about(new.settings), _in_words(keys, kept)
    keepers = open_keepers(new.settings) if touched(keys, KEEPER_KEYS) else None
    anew = open_manners(new.settings)
    change = Change(about, told, source, hearing, generator, speak_anew, keepers, anew)
    return made, change


def _in_words(keys: Collection[str], weights: Kept | None) -> str:
    told = [f"Changed: {', '.join(keys)}."] if keys else []
    if later := untaken(keys):
        told.append(f"At the next start only: {', '.join(later)}.")
    if weights:
        told.append(f"The weights in use are now {weights.name} ({weights.path}).")
    return " ".join(told) or "No setting has changed."


@contextlib.contextmanager
def _blaming(new: Loaded, keys: Collection[str], names: Collection[str]) -> Iterator[None]:
    """Put before an error where the setting behind it was written."""
    try:
        yield
    except AfterwordError as error:
        told = str(error)
        guilty = [key for key in keys if touched([key], names)]
        guilty.sort(key=lambda key: key not in told)  # one that it names comes first
        if not guilty:
            raise
        named = "" if guilty[0] in told else f"{guilty[0]}: "
        raise RefusedError(f"{new.entries[guilty[0]].origin}: {named}{told}") from error


def _renew_speaker(
    old: Parts, settings: Settings, keys: Collection[str], undo: Callable[..., object]
) -> Callable[[], None] | None:
    """What lets the speaker go on with a new engine, a new loudspeaker or another pause."""
    from audio.devices import find_device
    from audio.player import StreamPlayer

    if not touched(keys, SPEAKER_KEYS):
        return None
    engine = None
    if touched(keys, ENGINE_KEYS):
        engine = open_engine(settings)
        undo(engine.close)
    sink = None
    if touched(keys, OUTPUT_KEYS) and old.out is None:
        find_device("output", settings.audio.output)
        sink = StreamPlayer(settings.audio.output)
    pause, cues = settings.voice.pause_seconds, open_cues(settings)
    return lambda: old.speaker.renew(engine, sink, pause, cues)


def _renew_hearing(old: Parts, settings: Settings, keys: Collection[str]) -> "Hearing | None":
    if touched(keys, RECOGNISER_KEYS):
        return open_hearing(settings)
    if touched(keys, HEARING_KEYS):
        phrases = commands(settings)
        return old.hearing.renewed(settings.trigger, settings.seed, settings.language, phrases)
    return None


def _renew_generator(
    old: Parts, settings: Settings, keys: Collection[str], weights: bool
) -> tuple["TextGenerator | None", Kept | None]:
    if weights or touched(keys, WEIGHTS_KEYS):
        path = find_weights(settings.language, settings.model.weights)
        generator, kept = _load(settings, path)
        _try_out(generator, settings, path)
        return generator, kept
    if touched(keys, MODEL_KEYS):
        return old.generator.with_options(generator_options(settings)), None
    return None, None


def _try_out(generator: "TextGenerator", settings: Settings, path: Path) -> None:
    """Let new weights say a few words; the numbers they draw are not those of the user's.

    Raises:
        WeightsError: they cannot.
    """
    options = replace(generator_options(settings), max_new_tokens=TRIAL_TOKENS, random_seed=1)
    trial = generator.with_options(options)
    try:
        said = list(trial.continue_text(TRIAL_SEED[settings.language], lambda: False))
    except AfterwordError as error:
        raise WeightsError(f"{path} cannot be used: {error}") from error
    if not said:
        raise WeightsError(f"{path} cannot be used: it says nothing at all.")
