"""Builds what the services need from the settings: for each language, and for each voice."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from audio.commands import commands_in_text
from audio.stt import vosk_models
from audio.trigger.spotting import PhraseSpotter, open_spotter
from audio.tts.choice import voice_in_force
from audio.tts.engine import SpeechEngine, installed_voices
from audio.turn.transcription import Transcriber, open_transcriber
from config.errors import HearingModelError, SpeechError, WeightsError
from config.languages import LANGUAGES
from config.load import Loaded, for_language
from config.settings import Settings
from daemon import components
from daemon.ports import Generator
from daemon.wyoming.services.info import LANGUAGE_NAMES
from daemon.wyoming.services.offer import SERVICES, HearingModel, Offer, WakePhrase
from daemon.wyoming.services.voices import OfferedVoices
from model.checkpoints.adapter_store import with_adapter
from model.checkpoints.store import Stamp
from model.inference.loading import InUse, load_changed, load_weights, stamps_of, weights_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loader:
    """Loads generators and engines; its methods are for threads.

    Attributes:
        settings: of each language that has weights; the configured one is the first.
        voices: who speaks.
        services: the names of those that are switched on.
        in_memory: the weights in memory by language, which are not loaded again.
    """

    settings: Mapping[str, Settings]
    voices: OfferedVoices
    services: frozenset[str] = frozenset(SERVICES)
    in_memory: dict[str, InUse] = field(default_factory=dict)

    @property
    def default(self) -> Settings:
        """The settings of the configured language."""
        return next(iter(self.settings.values()))

    def offer(self) -> Offer:
        """What can be offered."""
        commands = {
            code: commands_in_text(components.commands(one)) for code, one in self.settings.items()
        }
        models = self._hearing_models() if self.services & {"asr", "wake"} else {}
        hearing = models if "asr" in self.services else {}
        phrases = self._phrases(models) if "wake" in self.services else ()
        pause_seconds = self.default.voice.pause_seconds
        return Offer(commands, self.voices, hearing, phrases, self.services, pause_seconds)

    def _phrases(self, languages: Iterable[str]) -> tuple[WakePhrase, ...]:
        return tuple(
            WakePhrase("_".join(text.split()), text, code)
            for code in languages
            for text in self.settings[code].trigger.phrases
        )

    def _hearing_models(self) -> dict[str, HearingModel]:
        """The Vosk models that are here, by language; what is missing is logged."""
        found = {}
        for code, one in self.settings.items():
            try:
                folder = vosk_models.find(code, one.hearing.model)
            except HearingModelError as error:
                log.info("%s speech is not recognised: %s", LANGUAGE_NAMES[code], error)
            else:
                found[code] = HearingModel(folder.name, folder.name.rpartition("-")[2])
        return found

    def open_transcriber(self, language: str) -> Transcriber:
        """The recogniser of a language.

        Raises:
            HearingModelError, ConfigError: as audio.turn.transcription.open_transcriber.
        """
        settings = self.settings[language]
        folder = vosk_models.find(language, settings.hearing.model)
        return open_transcriber(folder, language, components.commands(settings))

    def open_spotter(self, language: str) -> PhraseSpotter:
        """The spotter of the trigger phrases of a language.

        Raises:
            HearingModelError, ConfigError: as audio.trigger.spotting.open_spotter.
        """
        settings = self.settings[language]
        return open_spotter(vosk_models.find(language, settings.hearing.model), settings.trigger)

    def load_generator(self, language: str, device: str | None) -> Generator:
        """The generator of a language; `device` overrides the setting.

        Of weights that are in memory, only those that have changed are loaded.

        Raises:
            AfterwordError: as load_weights.
        """
        settings, old = self.settings[language], self.in_memory.get(language)
        if old:
            new = load_changed(settings, old, device)
        else:
            new = InUse(*load_weights(settings, device), settings)
        self.in_memory[language] = new
        return new.generator

    def weights(self) -> dict[str, list[str]]:
        """Names of the weights in memory, with their adapters, by language."""
        return {
            code: [with_adapter(info.name, info.adapter) for info in one.weights]
            for code, one in self.in_memory.items()
        }

    def stamps(self, language: str) -> tuple[Stamp | None, ...]:
        """The stamps of the weights files of a language; they differ when the files do."""
        return stamps_of(self.settings[language])

    def load_all(self, offer: Offer) -> None:
        """Load what the configured language needs in memory, to try whether there is room.

        Raises:
            AfterwordError: as the other methods.
        """
        language = self.default.language
        if "handle" in offer.services:
            self.load_generator(language, None)
        if language in offer.hearing:
            self.open_transcriber(language)

    def open_engine(self, voice: str) -> SpeechEngine:
        """The running engine of a voice: espeak-ng stands by for a language's default voice only.

        Raises:
            ConfigError: there is no such voice.
            SpeechError: the engine does not start.
        """
        settings = self.settings[self.voices.language_of(voice)]
        if voice == self.voices.defaults[settings.language]:
            return components.open_engine(settings)
        engine = SpeechEngine(voice, settings.voice.rate_wpm, settings.voice.volume)
        engine.start()
        return engine


def make_loader(
    loaded: Loaded, services: Collection[str] = SERVICES, in_memory: dict[str, InUse] | None = None
) -> Loader:
    """Find out what can be offered of these services; nothing is loaded yet.

    Args:
        loaded: the settings.
        services: the names of those that are switched on.
        in_memory: the weights in memory by language; the loaders of one process share it.

    Raises:
        WeightsError: the configured language has no weights.
        ConfigError: its voice is not fetched.
    """
    configured: str = loaded.settings.language
    weights_files(loaded.settings)
    settings = {configured: loaded.settings}
    for code in LANGUAGES:
        other = for_language(loaded, code)
        if code != configured and _has_weights(other):
            settings[code] = other
    defaults = {
        code: voice_in_force(one.voice.name, code).strip() for code, one in settings.items()
    }
    in_memory = {} if in_memory is None else in_memory
    return Loader(settings, _offered_voices(defaults), frozenset(services), in_memory)


def _has_weights(settings: Settings) -> bool:
    try:
        return bool(weights_files(settings))
    except WeightsError:
        return False


def _offered_voices(defaults: Mapping[str, str]) -> OfferedVoices:
    """The default voices with all others of this machine, if they can be listed."""
    try:
        listed, variants = installed_voices()
    except SpeechError as error:  # the default voice has espeak-ng to stand by; it may tell more
        log.warning("%s", error)
        return OfferedVoices(defaults)
    return OfferedVoices(defaults, tuple(listed), frozenset(variants))
