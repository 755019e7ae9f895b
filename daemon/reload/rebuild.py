"""Builds the components that changed settings or new weights need, beside those in use.

A component is rebuilt when the settings that it is made from differ: see daemon/reload/settings.py.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from config.errors import AfterwordError, ConfigError, RefusedError
from config.load import Loaded
from config.settings import Settings
from daemon import components
from daemon.components import Components
from daemon.ports import AudioSource, ComponentUpdate
from daemon.reload.settings import (
    MadeFrom,
    cue_settings,
    engine_settings,
    generator_settings,
    log_settings,
    loudspeaker_settings,
    observer_settings,
    recognition_settings,
    recognizer_settings,
    source_settings,
    speech_settings,
    weights_settings,
)
from daemon.systemd import journal
from model.checkpoints.store import WeightsInfo
from model.inference import loading

if TYPE_CHECKING:  # imported where they are used; all together take seconds
    from audio.recognition import AudioRecognition
    from audio.tts.engine import SpeechEngine
    from model.inference.routing import Generator


def move_to_cpu(old: Components, settings: Settings) -> tuple[Components, ComponentUpdate]:
    """Load the generator on the CPU, because the device of the model has failed.

    Raises:
        WeightsError, GenerationError: as `loading.load_weights`.
    """
    generator, weights = loading.load_weights(settings, "cpu")
    built = replace(old, generator=generator, weights=weights)
    summary = "The model is computed on the CPU."
    return built, ComponentUpdate(built.status_info(settings), summary, generator=generator)


class Rebuild:
    """One rebuild: what is in force, and the settings to be."""

    def __init__(self, old: Components, in_force: Settings, new: Loaded, changed: Collection[str]):
        """`changed`: the keys whose values differ."""
        self._old = old
        self._in_force = in_force
        self._new = new
        self._settings = new.settings
        self._changed = changed

    def run(self, *, weights: bool, device: str | None) -> tuple[Components, ComponentUpdate]:
        """Build what is needed; nothing has changed if this raises.

        Args:
            weights: load the weights files again that have changed.
            device: overrides `model.device`, because that device had failed.

        Returns:
            the components to be, and the update for the loop.

        Raises:
            RefusedError: a component cannot be built. The message names file, line and key.
        """
        # The quickest first, so that a mistake is reported while the caller still waits.
        with self._naming_the_setting(source_settings):
            source = self._source()
        with self._naming_the_setting(recognition_settings):
            recognition = self._recognition()
        with self._naming_the_setting(weights_settings):
            generator, loaded = self._generator(weights, device)
        retry = not weights and self._voice_has_come()
        reconfigure_speech = self._speech(retry)
        old, settings = self._old, self._settings
        built = Components(
            source or old.source,
            recognition or old.recognition,
            generator or old.generator,
            old.speech,
            loaded or old.weights,
            old.out,
        )
        if self._differs(log_settings):
            journal.set_level(settings.log.level)
        update = ComponentUpdate(
            status_info=built.status_info(settings),
            summary=_summary(self._changed, loaded, settings.voice.name if retry else None),
            source=source,
            recognition=recognition,
            generator=generator,
            reconfigure_speech=reconfigure_speech,
            observers=(
                components.open_observers(settings) if self._differs(observer_settings) else None
            ),
            follow_up_seconds=settings.conversation.follow_up_seconds,
        )
        return built, update

    def _differs(self, made_from: MadeFrom) -> bool:
        return made_from(self._in_force) != made_from(self._settings)

    def _source(self) -> AudioSource | None:
        if not self._differs(source_settings):
            return None
        return components.open_source(self._settings, None)

    def _recognition(self) -> "AudioRecognition | None":
        settings = self._settings
        if self._differs(recognizer_settings):
            return components.open_recognition(settings)
        if self._differs(recognition_settings):
            phrases = components.commands(settings)
            return self._old.recognition.with_settings(
                settings.trigger, settings.seed, settings.language, phrases
            )
        return None

    def _generator(
        self, weights: bool, device: str | None
    ) -> tuple["Generator | None", tuple[WeightsInfo, ...]]:
        old, settings = self._old, self._settings
        if weights or self._differs(weights_settings):
            in_use = loading.InUse(old.generator, old.weights, self._in_force)
            new = loading.load_changed(settings, in_use, device)
            return new.generator, new.weights
        if self._differs(generator_settings):
            return old.generator.with_options(loading.generator_options(settings)), ()
        return None, ()

    def _voice_has_come(self) -> bool:
        """True if the voice may work now and did not before, such as one that has been fetched."""
        from audio.tts.choice import voice_in_force

        settings = self._settings
        if self._differs(engine_settings):
            return False
        with contextlib.suppress(ConfigError):  # it still speaks, from memory
            voice = voice_in_force(settings.voice.name, settings.language)
            return voice != self._old.speech.voice
        return False

    def _speech(self, retry: bool) -> Callable[[], None] | None:
        """A function that gives the speech output its new engine, loudspeaker, pause and cues.

        With `retry` the engine is started anew although its settings are the same.
        """
        from audio.devices.selection import find_device
        from audio.output.loudspeaker import Loudspeaker

        settings, speech = self._settings, self._old.speech
        if not retry and not self._differs(speech_settings):
            return None
        sink = None
        if self._differs(loudspeaker_settings) and self._old.out is None:
            with self._naming_the_setting(loudspeaker_settings):
                find_device("output", settings.audio.output)
            sink = Loudspeaker(settings.audio.output)
        with self._naming_the_setting(cue_settings):
            cues = components.open_cues(settings)
        engine = None
        if retry or self._differs(engine_settings):  # a process: nothing may fail after its start
            with self._naming_the_setting(engine_settings):
                engine = self._engine()
        pause = settings.voice.pause_seconds
        return lambda: speech.reconfigure(engine, sink, pause, cues)

    def _engine(self) -> "SpeechEngine":
        """Start the speech engine; a voice that the user has just chosen must work itself.

        Raises:
            ConfigError, SpeechError: as `components.open_engine`, or the chosen voice fails.
        """
        engine = components.open_engine(self._settings)
        origin = self._new.entries["voice.name"].origin
        is_chosen = "voice.name" in self._changed and not origin.startswith("default")
        if engine.failure and is_chosen:
            engine.close()
            raise engine.failure
        return engine

    @contextlib.contextmanager
    def _naming_the_setting(self, made_from: MadeFrom) -> Iterator[None]:
        """Put the place of the setting that caused an error before its message."""
        try:
            yield
        except AfterwordError as error:
            message = str(error)
            causes = [key for key in self._changed if self._affects(key, made_from)]
            causes.sort(key=lambda key: key not in message)  # a key that the message names is first
            if not causes:
                raise
            named = "" if causes[0] in message else f"{causes[0]}: "
            origin = self._new.entries[causes[0]].origin
            raise RefusedError(f"{origin}: {named}{message}") from error

    def _affects(self, key: str, made_from: MadeFrom) -> bool:
        """True if a component is made from this changed key: its old value makes a difference."""
        undone = _with_value_of(self._in_force, key, self._settings)
        return made_from(undone) != made_from(self._settings)


def _with_value_of(source: Settings, key: str, target: Settings) -> Settings:
    """`target` with the value that this dotted key has in `source`."""
    section, _, name = key.rpartition(".")
    if not section:
        return replace(target, **{key: getattr(source, key)})
    value = getattr(getattr(source, section), name)
    return replace(target, **{section: replace(getattr(target, section), **{name: value})})


def _summary(changed: Collection[str], weights: Sequence[WeightsInfo], voice: str | None) -> str:
    sentences = [f"Changed: {', '.join(changed)}."] if changed else []
    if voice:
        sentences.append(f"The voice {voice} was tried again.")
    if weights:
        files = " and ".join(f"{info.label} ({info.path})" for info in weights)
        sentences.append(f"The weights in use are now {files}.")
    return " ".join(sentences) or "No setting has changed."
