"""Voices of all speech engines: their names, and which languages they speak."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from config.errors import ConfigError
from config.languages import LANGUAGES

ESPEAK = "espeak-ng"
"""The engine of every voice whose name is not that of a neural one (audio/tts/neural)."""
_SUGGESTIONS = 3


@dataclass(frozen=True)
class Voices:
    """The names that espeak-ng knows.

    Attributes:
        ids: voices such as "gmw/en-US" and "sit/cmn".
        variants: ways to colour a voice, such as "f3" in "gmw/en-US+f3".
    """

    ids: tuple[str, ...]
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Voice:
    """One voice.

    Attributes:
        id: its own name in espeak-ng, such as "gmw/en-US", or its `voice.name`.
        name: a name for people.
        language: the tag of the language it speaks, such as "en-us".
        engine: the engine that speaks with it.
        licence: of engine and voice, SPDX names.
        version: of the engine or its model; empty where it tells none.
    """

    id: str
    name: str
    language: str
    engine: str = ESPEAK
    licence: str = "GPL-3.0-or-later"
    version: str = ""

    @property
    def short(self) -> str:
        """The name for the settings, such as "en-us" or "hibari"."""
        return self.id.rpartition("/")[2].lower() if self.engine == ESPEAK else self.id


def no_names() -> Iterable[str]:
    """No further names."""
    return ()


def resolve_voice(
    wanted: str, voices: Voices, others: Callable[[], Iterable[str]] = no_names
) -> str:
    """espeak-ng's own name of a voice, such as "gmw/en-US+f3".

    Accepted are an id ("gmw/en-US"), its last part ("en-us", "cmn"), either followed by a plus
    sign and a variant ("en-us+f3"), in upper or lower case. espeak-ng itself would take an
    unknown variant, or one in the wrong case, and speak without it.

    Args:
        wanted: the name as the user wrote it.
        voices: the names that espeak-ng knows.
        others: gives the voices of other engines, for the suggestion of an error.

    Raises:
        ConfigError: no voice has that name, or no variant.
    """
    base, plus, variant = wanted.strip().partition("+")
    whole = {name.casefold(): name for name in voices.ids}
    last = {name.casefold().rpartition("/")[2]: name for name in voices.ids}
    found = whole.get(base.casefold()) or last.get(base.casefold())
    if found is None:
        raise unknown_voice(wanted, [*others(), *last, *whole], part=base)
    if not plus:
        return found
    variants = {name.casefold(): name for name in voices.variants}
    coloured = variants.get(variant.casefold())
    if coloured is None:
        hint = _suggestion(variant, [*variants])
        raise ConfigError(
            f"voice.name: {variant!r} is no variant of a voice of the speech engine; {hint}"
        )
    return f"{found}+{coloured}"


def unknown_voice(wanted: str, known: Iterable[str], part: str = "") -> ConfigError:
    """The error to raise where no voice has a name, with the nearest ones that are known.

    Args:
        wanted: the name as the user wrote it.
        known: names that would have been right.
        part: the part of `wanted` to compare with them; empty is all of it.
    """
    hint = _suggestion(part or wanted.strip(), known)
    return ConfigError(f"voice.name: {wanted!r} is no voice of the speech engine; {hint}")


def _suggestion(part: str, known: Iterable[str]) -> str:
    names = {name.casefold(): name for name in reversed([*known])}
    near = difflib.get_close_matches(part.casefold(), names, _SUGGESTIONS)
    if near:
        return f"did you mean {' or '.join(repr(names[name]) for name in near)}?"
    english, chinese = (LANGUAGES[code].espeak_voice for code in ("en", "zh"))
    return (
        f"an English voice is {english!r}, a Chinese one {chinese!r}; `afterword voices` lists all."
    )


def find_voice(name: str, listed: Sequence[Voice]) -> Voice | None:
    """The listed voice that a `voice.name` means, whatever its variant; None if there is none."""
    wanted = name.strip().casefold()
    for voice in listed:
        names = {voice.id.casefold(), voice.short.casefold()}
        if wanted in names:
            return voice
        if voice.engine == ESPEAK and wanted.partition("+")[0] in names:
            return voice
    return None


def of_engine(voices: Iterable[Voice], engine: str) -> list[Voice]:
    """The voices of an engine."""
    return [voice for voice in voices if voice.engine == engine]


def of_language(voices: Iterable[Voice], language: str) -> list[Voice]:
    """The voices that speak a language, such as "en", "en-gb" or "zh" (all of Chinese)."""
    wanted = language.casefold()
    known = LANGUAGES.get(wanted)
    starts = known.voice_prefixes if known else (wanted,)
    return [
        voice
        for voice in voices
        if any(f"{voice.language.casefold()}-".startswith(f"{start}-") for start in starts)
    ]


def sample_sentence(name: str, listed: Sequence[Voice]) -> str:
    """A sentence that a voice can read: of its language, or English.

    Args:
        name: a `voice.name`.
        listed: the installed voices. The name itself tells the language of one that is missing,
            as that of a Piper voice does: zh_CN-huayan-medium.onnx.
    """
    tag = name.rpartition("/")[2].partition("+")[0].replace("_", "-")
    voice = find_voice(name, listed) or Voice(name, "", tag)
    spoken = (one for one in LANGUAGES.values() if of_language([voice], one.code))
    return next(spoken, LANGUAGES["en"]).sample_sentence
