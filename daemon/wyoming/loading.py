"""Builds what the services need from the settings: for each language, and for each voice."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from audio.commands import commands_in_text
from audio.tts.choice import voice_in_force
from audio.tts.engine import SpeechEngine, installed_voices
from config.errors import SpeechError, WeightsError
from config.languages import LANGUAGES
from config.load import Loaded, for_language
from config.settings import Settings
from daemon import components
from daemon.ports import Generator
from daemon.wyoming.services.offer import Offer
from daemon.wyoming.services.voices import OfferedVoices
from model.inference.loading import load_weights, weights_files

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loader:
    """Loads generators and engines; its methods are for threads.

    Attributes:
        settings: of each language that has weights; the configured one is the first.
        voices: who speaks.
    """

    settings: Mapping[str, Settings]
    voices: OfferedVoices

    @property
    def default(self) -> Settings:
        """The settings of the configured language."""
        return next(iter(self.settings.values()))

    def offer(self) -> Offer:
        """What can be offered."""
        commands = {
            code: commands_in_text(components.commands(one)) for code, one in self.settings.items()
        }
        return Offer(commands, self.voices, self.default.voice.pause_seconds)

    def load_generator(self, language: str, device: str | None) -> Generator:
        """The generator of a language; `device` overrides the setting.

        Raises:
            AfterwordError: as load_weights.
        """
        return load_weights(self.settings[language], device)[0]

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


def make_loader(loaded: Loaded) -> Loader:
    """Find out what can be offered; nothing is loaded yet.

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
    return Loader(settings, _offered_voices(defaults))


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
