"""Capitals of names: a recogniser writes "paris", and a model of written English wants "Paris".

A vocabulary of byte pairs knows names: the pieces of frequent words are merged first, so " Paris"
is a piece where " paris" is none, or one that was merged much later. It is asked, not a list; a few
names that are common words, too, and names of several words are listed.
"""

import re
from collections.abc import Collection, Sequence

_LEAST_LETTERS = 3
_RATIO = 5  # of merges: " John" comes 18 times, " Hill" 1.5 times as early as without the capital

_WORD = re.compile(r"[^\W\d_]+")
_LISTED = """
god shakespeare mars lily bob tom sam adam anne luke ruth jack google twitter wikipedia
"""
_OF_SEVERAL_WORDS = re.compile(
    r"\b(?:new (?:york|zealand|orleans|jersey|england)|united (?:states|kingdom|nations)"
    r"|(?:north|south|east|west) (?:america|africa|korea|carolina|dakota|virginia|germany|berlin)"
    r"|san (?:francisco|diego|antonio)|los angeles|las vegas|hong kong|soviet union|world war"
    r"|mount everest|red cross|white house|santa claus|father christmas|harry potter)\b"
)


def names_in(pieces: Sequence[bytes]) -> frozenset[str]:
    """The names that a vocabulary knows, in lower case; its pieces are in the order of merges."""
    ranks = {piece: rank for rank, piece in enumerate(pieces) if piece[:1] == b" "}
    found = set(_LISTED.split())
    for piece, rank in ranks.items():
        word = piece[1:].decode("utf-8", "replace")
        if word.isalpha() and word.istitle() and len(word) >= _LEAST_LETTERS:
            lower = ranks.get(f" {word.lower()}".encode())
            if lower is None or lower > _RATIO * rank:
                found.add(word.lower())
    return frozenset(found)


def with_names(text: str, names: Collection[str]) -> str:
    """The text in lower case with capital names: "i love new york" → "i love New York"."""
    text = _OF_SEVERAL_WORDS.sub(lambda match: match[0].title(), text)
    return _WORD.sub(lambda match: _capital(match[0]) if match[0] in names else match[0], text)


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
