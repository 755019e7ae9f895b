"""Drops the marks of a sentence that cannot be spoken: stray quotation marks, signs of emphasis."""

import re

_EMPHASIS = re.compile(r"(?<![\w*_])[*_`]+|[*_`]+(?![\w*_])|(?<!\S)[#~^|\\]+(?!\S)")
_PAIRS = {"“": "”", "「": "」", "『": "』"}
_CLOSING = frozenset(_PAIRS.values())
_STRAIGHT = '"'
_SPACE_BEFORE_MARK = re.compile(r"\s+(?=[,.;:!?](?:\s|$))")


def repair(sentence: str, before: str) -> str:
    """The sentence without stray quotation marks and signs of emphasis.

    A closing mark is stray where no quotation is open, an opening one at the end of the sentence.

    Args:
        sentence: as the splitter returns it.
        before: the text before it, in which a quotation may have begun.
    """
    text = _EMPHASIS.sub("", sentence)
    text = _without_stray_quotes(text, open_quotation(before))
    if text == sentence:
        return text
    return _SPACE_BEFORE_MARK.sub("", " ".join(text.split()))


def open_quotation(text: str) -> str:
    """The mark that closes the quotation open at the end of the text; empty if none is open."""
    closing = ""
    for i, mark in enumerate(text):
        closing = _after(closing, mark, _role(text, i, closing))
    return closing


def _without_stray_quotes(text: str, closing: str) -> str:
    kept = []
    for i, mark in enumerate(text):
        role = _role(text, i, closing)
        stray = (role == "close" and not closing) or (role == "open" and i == len(text) - 1)
        if not stray:
            closing = _after(closing, mark, role)
            kept.append(mark)
    return "".join(kept)


def _role(text: str, i: int, closing: str) -> str:
    """What a character does: "open" or "close" a quotation, or nothing, ""."""
    mark = text[i]
    if mark in _PAIRS:
        return "open"
    if mark in _CLOSING:
        return "close"
    if mark != _STRAIGHT:
        return ""
    before, after = text[i - 1 : i], text[i + 1 : i + 2]
    if before.strip() and not after.strip():
        return "close"
    if after.strip() and not before.strip():
        return "open"
    if before.isalnum() != after.isalnum():  # 「..."好"」 and the like
        return "open" if after.isalnum() and not closing else "close"
    return "close" if closing else "open"


def _after(closing: str, mark: str, role: str) -> str:
    """The mark that closes the open quotation, after one more character."""
    if role == "open":
        return _PAIRS.get(mark, _STRAIGHT)
    return "" if role == "close" else closing
