"""The table of neural voice engines, and the choice of one by `voice.name`."""

import importlib
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from audio.tts.voices import ESPEAK, Voice

if TYPE_CHECKING:  # it imports numpy, which the worker of espeak-ng does without
    from audio.tts.neural.synthesizer import VoiceEngine

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "hibari": "audio.tts.neural.hibari",
        "kokoro": "audio.tts.neural.kokoro",
        "piper": "audio.tts.neural.piper",
    }
)
"""The module of each engine, by what stands before the colon in `voice.name`."""


def is_neural(voice: str) -> bool:
    """True for a `voice.name` such as "hibari" or "kokoro:zf_xiaoxiao", else it is espeak-ng's."""
    return engine_of(voice) != ESPEAK


def engine_of(voice: str) -> str:
    """The engine that speaks with a `voice.name`, such as "hibari" or "espeak-ng"."""
    engine = _parts(voice)[0]
    return engine if engine in ENGINES else ESPEAK


def find_engine(voice: str) -> "tuple[VoiceEngine, str]":
    """The engine of a neural voice, and the voice's name in it; only in the worker process.

    A name that the engine lists is found in upper or lower case.
    """
    engine, name = _parts(voice)
    module = load_engine(engine)
    own_names = [listed.id.partition(":")[2] for listed in module.voices()]
    return module, next((own for own in own_names if own.casefold() == name.casefold()), name)


def load_engine(name: str) -> "VoiceEngine":
    """Import the module of an engine."""
    return cast("VoiceEngine", importlib.import_module(ENGINES[name]))


def installed() -> list[Voice]:
    """The voices of all neural engines; only in the worker process."""
    voices: list[Voice] = []
    for name in ENGINES:
        with suppress(Exception):  # a broken package may raise anything; opening a voice tells it
            voices += load_engine(name).voices()
    return voices


def known_names() -> list[str]:
    """What a mistyped name may have meant: the installed voices, and the engines themselves."""
    return [*(voice.id for voice in installed()), *ENGINES]


def _parts(voice: str) -> tuple[str, str]:
    engine, _, name = voice.strip().partition(":")
    return engine.rstrip().casefold(), name.lstrip()
