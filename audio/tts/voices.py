"""Resolve the voice that a user asks for against those that the speech engine has."""

import difflib
from dataclasses import dataclass

from config.errors import ConfigError

_SUGGESTIONS = 3


@dataclass(frozen=True)
class Voices:
    """What the engine offers.

    Attributes:
        ids: voices such as "gmw/en-US" and "sit/cmn".
        variants: ways to colour a voice, such as "f3" in "gmw/en-US+f3".
    """

    ids: tuple[str, ...]
    variants: tuple[str, ...]


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
