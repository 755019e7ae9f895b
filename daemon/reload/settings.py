"""The settings that each component is made from: a reload rebuilds it when they differ.

A key that no function here mentions would never be applied; tests/daemon/reload/test_rebuild.py
finds it.
"""

from collections.abc import Callable
from dataclasses import replace

from config.settings import Settings
from model.inference.loading import computing_settings

MadeFrom = Callable[[Settings], object]


def source_settings(settings: Settings) -> object:
    """The microphone."""
    return settings.audio.input


def recognizer_settings(settings: Settings) -> object:
    """The Vosk model; where it stays, new grammars on it are enough."""
    return settings.language, settings.hearing


def recognition_settings(settings: Settings) -> object:
    """Trigger phrases, commands, and the end of a seed."""
    return recognizer_settings(settings), settings.trigger, settings.seed, settings.commands


def weights_settings(settings: Settings) -> object:
    """The Transformer; where it stays, other sampling options are enough."""
    return computing_settings(settings), settings.model.weights


def generator_settings(settings: Settings) -> object:
    """The Transformer and its sampling options."""
    return settings.language, settings.model


def engine_settings(settings: Settings) -> object:
    """The speech engine."""
    return replace(settings.voice, pause_seconds=0.0), settings.language


def loudspeaker_settings(settings: Settings) -> object:
    """The loudspeaker."""
    return settings.audio.output


def cue_settings(settings: Settings) -> object:
    """The cues."""
    return settings.cues


def speech_settings(settings: Settings) -> object:
    """The speech output: engine, loudspeaker, pauses and cues."""
    return settings.voice, settings.audio.output, settings.cues


def observer_settings(settings: Settings) -> object:
    """History and debug recordings."""
    return settings.history, settings.captures


def conversation_settings(settings: Settings) -> object:
    """The conversation, which needs no new component."""
    return settings.conversation


def log_settings(settings: Settings) -> object:
    """The level of the log."""
    return settings.log


ALL_COMPONENTS: tuple[MadeFrom, ...] = (
    source_settings,
    recognition_settings,
    generator_settings,
    speech_settings,
    observer_settings,
    conversation_settings,
    log_settings,
)
