"""The language of a text, among those that are offered."""

from collections.abc import Sequence

from config.languages import LANGUAGES, is_han


def find_language(tag: str, offered: Sequence[str]) -> str | None:
    """The code of the offered language that a tag such as "en-GB" or "zh_CN" names; or None."""
    wanted = normal_tag(tag)
    for code in offered:
        starts = (code, *LANGUAGES[code].voice_prefixes)
        if any(f"{wanted}-".startswith(f"{start}-") for start in starts):
            return code
    return None


def guess_language(text: str, offered: Sequence[str]) -> str:
    """The offered language of a text that comes without a tag, by its script; else the first."""
    has_letters = any(character.isalpha() for character in text)
    is_chinese = is_han(text)
    if has_letters:
        for code in offered:
            if is_han(LANGUAGES[code].trial_seed) == is_chinese:
                return code
    return offered[0]


def normal_tag(tag: str) -> str:
    """A language tag in lower case, with hyphens."""
    return tag.strip().replace("_", "-").casefold()
