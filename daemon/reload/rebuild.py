"""Make what changed settings or new weights need, beside the parts that serve."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from config.errors import AfterwordError, RefusedError
from config.load import Loaded
from config.settings import Settings
from daemon import components
from daemon.keepers import open_observers
from daemon.ports import ComponentUpdate
from daemon.reload.setting_keys import (
    ENGINE_KEYS,
    HEARING_KEYS,
    INPUT_KEYS,
    KEEPER_KEYS,
    LOG_KEYS,
    MODEL_KEYS,
    OUTPUT_KEYS,
    RECOGNISER_KEYS,
    SPEAKER_KEYS,
    WEIGHTS_KEYS,
    touched,
    untaken,
)
from daemon.systemd import journal
from model.checkpoints.store import WeightsInfo, find_weights
from model.inference import loading

if TYPE_CHECKING:  # they are imported where they are used; all together take seconds
    from audio.recognition import AudioRecognition
    from model.inference.generator import TextGenerator


def renew(
    old: components.Components, new: Loaded, keys: Collection[str], *, weights: bool
) -> tuple[components.Components, ComponentUpdate]:
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
    # The quickest first: what is wrong shall be told while whoever asked still listens.
    with _blaming(new, keys, INPUT_KEYS):
        source = components.open_source(new.settings, None) if touched(keys, INPUT_KEYS) else None
    with _blaming(new, keys, HEARING_KEYS):
        hearing = _renew_hearing(old, new.settings, keys)
    with _blaming(new, keys, WEIGHTS_KEYS):
        generator, kept = _renew_generator(old, new.settings, keys, weights)
    with _blaming(new, keys, SPEAKER_KEYS):
        speak_anew = _renew_speaker(old, new.settings, keys)
    made = components.Components(
        source or old.source,
        hearing or old.hearing,
        generator or old.generator,
        old.speaker,
        kept or old.weights,
        old.out,
    )
    if touched(keys, LOG_KEYS):
        journal.set_level(new.settings.log.level)
    about, told = made.about(new.settings), _in_words(keys, kept)
    keepers = open_observers(new.settings) if touched(keys, KEEPER_KEYS) else None
    anew = new.settings.conversation.follow_up_seconds
    change = ComponentUpdate(about, told, source, hearing, generator, speak_anew, keepers, anew)
    return made, change


def _in_words(keys: Collection[str], weights: WeightsInfo | None) -> str:
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
    old: components.Components, settings: Settings, keys: Collection[str]
) -> Callable[[], None] | None:
    """What lets the speaker go on with a new engine, a new loudspeaker or another pause."""
    from audio.devices.selection import find_device
    from audio.output.loudspeaker import Loudspeaker

    if not touched(keys, SPEAKER_KEYS):
        return None
    sink = None
    if touched(keys, OUTPUT_KEYS) and old.out is None:
        find_device("output", settings.audio.output)
        sink = Loudspeaker(settings.audio.output)
    pause, cues = settings.voice.pause_seconds, components.open_cues(settings)
    # A child process: nothing may fail after it has been started.
    engine = components.open_engine(settings) if touched(keys, ENGINE_KEYS) else None
    return lambda: old.speaker.renew(engine, sink, pause, cues)


def _renew_hearing(
    old: components.Components, settings: Settings, keys: Collection[str]
) -> "AudioRecognition | None":
    if touched(keys, RECOGNISER_KEYS):
        return components.open_recognition(settings)
    if touched(keys, HEARING_KEYS):
        phrases = components.commands(settings)
        return old.hearing.with_settings(
            settings.trigger, settings.seed, settings.language, phrases
        )
    return None


def _renew_generator(
    old: components.Components, settings: Settings, keys: Collection[str], weights: bool
) -> tuple["TextGenerator | None", WeightsInfo | None]:
    if weights or touched(keys, WEIGHTS_KEYS):
        path = find_weights(settings.language, settings.model.weights)
        generator, kept = loading.load_file(settings, path)
        loading.try_out(generator, settings, path)
        return generator, kept
    if touched(keys, MODEL_KEYS):
        return old.generator.with_options(loading.generator_options(settings)), None
    return None, None
