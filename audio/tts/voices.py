"""Voices of the speech engine: their names, and which languages they speak."""

import difflib
from dataclasses import dataclass

from config.errors import ConfigError
from config.languages import LANGUAGES

_SUGGESTIONS = 3


@dataclass(frozen=True)
class Voices:
    """The names that the engine knows.

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
        id: its own name in the engine, such as "gmw/en-US", or its `voice.name`.
        name: a name for people.
        language: the language it speaks, such as "en-us".
        engine: the engine that speaks with it.
        licence: of engine and voice, SPDX names.
    """

    id: str
    name: str
    language: str
    engine: str = "espeak-ng"
    licence: str = "GPL-3.0-or-later"

    @property
    def short(self) -> str:
        """The name for the settings, such as "en-us"."""
        is_espeak = self.engine == "espeak-ng"
        return self.id.rpartition("/")[2].lower() if is_espeak else self.id


def resolve_voice(wanted: str, voices: Voices) -> str:
    """The engine's own name of a voice, such as "gmw/en-US+f3".

    Accepted are an id ("gmw/en-US"), its last part ("en-us", "cmn"), either followed by a plus
    sign and a variant ("en-us+f3"), in upper or lower case. The engine itself would take an
    unknown variant, or one in the wrong case, and speak without it.

    Raises:
        ConfigError: no voice has that name, or no variant.
    """
    base, plus, variant = wanted.strip().partition("+")
    whole = {name.casefold(): name for name in voices.ids}
    last = {name.casefold().rpartition("/")[2]: name for name in voices.ids}
    found = whole.get(base.casefold()) or last.get(base.casefold())
    if found is None:
        raise _unknown("voice", wanted, base, [*last, *whole])
    if not plus:
        return found
    variants = {name.casefold(): name for name in voices.variants}
    coloured = variants.get(variant.casefold())
    if coloured is None:
        raise _unknown("variant", wanted, variant, [*variants])
    return f"{found}+{coloured}"


def _unknown(what: str, wanted: str, part: str, known: list[str]) -> ConfigError:
    """The error to raise, with the nearest known names."""
    near = difflib.get_close_matches(part.casefold(), known, _SUGGESTIONS)
    hint = f"did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    advice = hint or "an English voice is 'en-us', a Chinese one 'cmn-latn-pinyin'."
    unknown = f"{wanted!r} is no voice" if what == "voice" else f"{part!r} is no variant of a voice"
    return ConfigError(f"voice.name: {unknown} of the speech engine; {advice}")


def of_language(voices: list[Voice], language: str) -> list[Voice]:
    """The voices that speak a language, such as "en", "en-gb" or "zh" (all of Chinese)."""
    wanted = language.casefold()
    known = LANGUAGES.get(wanted)
    starts = known.voice_prefixes if known else (wanted,)
    return [
        voice
        for voice in voices
        if any(f"{voice.language}-".startswith(f"{start}-") for start in starts)
    ]
