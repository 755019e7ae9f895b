"""The table of neural voice engines, and the choice of one by `voice.name`."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # it imports numpy, which the worker of espeak-ng does without
    from audio.tts.neural.synthesizer import VoiceEngine

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "hibari": "audio.tts.neural.hibari",
        "kokoro": "audio.tts.neural.kokoro",
    }
)
"""The module of each engine, by what stands before the colon in `voice.name`."""


def is_neural(voice: str) -> bool:
    """True for a `voice.name` such as "hibari" or "kokoro:zf_xiaoxiao", else it is espeak-ng's."""
    return _parts(voice)[0] in ENGINES


def find_engine(voice: str) -> "tuple[VoiceEngine, str]":
    """The engine of a neural voice, and the voice's name in it; only in the worker process."""
    engine, name = _parts(voice)
    return load_engine(engine), name


def load_engine(name: str) -> "VoiceEngine":
    """Import the module of an engine."""
    return cast("VoiceEngine", importlib.import_module(ENGINES[name]))


def _parts(voice: str) -> tuple[str, str]:
    engine, _, name = voice.strip().partition(":")
    return engine.casefold(), name
