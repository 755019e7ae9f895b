"""Texts compared by their bare words, as a recogniser would write them."""

from collections.abc import Iterable


def bare(text: str) -> str:
    """The words alone, lower-case, one blank between two; Chinese has no blanks at all."""
    words = "".join(c if c.isalnum() or c == "'" else " " for c in text.casefold()).split()
    return ("" if _is_han(text) else " ").join(words)


def says(text: str, phrase: str) -> bool:
    """Whether the phrase is spoken in the text."""
    if _is_han(phrase):
        return bare(phrase) in bare(text).replace(" ", "")
    return f" {bare(phrase)} " in f" {bare(text)} "


def joined(texts: Iterable[str]) -> str:
    """Sentences one after another; where one ends in a Chinese mark, no blank follows."""
    whole = ""
    for text in texts:
        blank = " " if whole and whole[-1].isascii() and text[:1].isascii() else ""
        whole += blank + text
    return whole


def _is_han(text: str) -> bool:
    return any("㐀" <= c <= "鿿" for c in text)
