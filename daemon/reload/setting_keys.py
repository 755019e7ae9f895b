"""Which part must be made anew when which setting changes.

A name that ends with a dot means a whole section.
"""

from collections.abc import Collection, Iterable

INPUT_KEYS = ("audio.input",)
OUTPUT_KEYS = ("audio.output",)
ENGINE_KEYS = ("voice.name", "voice.rate_wpm", "voice.volume")
SPEAKER_KEYS = (*ENGINE_KEYS, *OUTPUT_KEYS, "voice.pause_seconds", "cues.")
RECOGNISER_KEYS = ("language", "hearing.")  # else new grammars on the same model will do
HEARING_KEYS = (*RECOGNISER_KEYS, "trigger.", "seed.", "commands.", "conversation.")
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
