"""Text as the speech engine takes it: cleaned, and cut into pieces."""

import unicodedata

PIECE_CHARACTERS = 1000  # about a minute of speech; keeps a request within a pipe's 64 KiB


def clean_text(text: str) -> str:
    """Text on one line without what cannot be spoken: control codes, halves of characters."""
    unspoken = {"Cc", "Cs", "Co", "Cn"}  # but not Cf, whose joiners shape Indic words
    kept = (" " if unicodedata.category(mark) in unspoken else mark for mark in text)
    return " ".join("".join(kept).split())


def split_text(text: str, limit: int = PIECE_CHARACTERS) -> list[str]:
    """Cut at blanks into pieces of at most `limit` characters; in a longer word, anywhere."""
    pieces = []
    while len(text) > limit:
        blank = text.rfind(" ", 0, limit + 1)
        cut = blank if blank > 0 else limit
        pieces.append(text[:cut])
        text = text[cut:].lstrip()
    return [*pieces, text] if text else pieces
