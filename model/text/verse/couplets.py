"""The form of Chinese verse: clauses of equal length, couplets of five or seven characters."""

import re
from itertools import pairwise

from config.languages import HAN

MARKS = "，、；：。！？"

_COUPLET = re.compile(rf"([{HAN}]{{5}}|[{HAN}]{{7}})[，、；！？]([{HAN}]+)[。！？；]")
_COUPLETS = re.compile(rf"[{HAN}]+[，、；！？][{HAN}]+[。！？；]")


_CLAUSE = re.compile(f"[{HAN}]+")
_SHORTEST_CLAUSE = 3  # characters
_VERSE_SHARE = 1 / 3  # of clauses; 0.83 in poems, 0.38 in lyrics (ci), 0.05 to 0.29 in prose


def is_verse(text: str) -> bool:
    """True if many clauses of a Chinese text are as long as the one before."""
    lengths = [len(clause) for clause in _CLAUSE.findall(text)]
    pairs = list(pairwise(lengths))
    equal = sum(one == other >= _SHORTEST_CLAUSE for one, other in pairs)
    return bool(pairs) and equal >= _VERSE_SHARE * len(pairs)


def line_length(couplet: str) -> int:
    """The characters of each line of a well-formed couplet; 0 if it is none."""
    match = _COUPLET.fullmatch(couplet)
    return len(match[1]) if match and len(match[1]) == len(match[2]) else 0


def last_couplets(text: str) -> tuple[str, ...]:
    """The well-formed couplets at the end of a text, all of the same length of lines."""
    found: list[str] = []
    for couplet in reversed(_COUPLETS.findall(text)):
        length = line_length(couplet)
        if not length or (found and length != line_length(found[0])):
            break
        found.insert(0, couplet)
    return tuple(found)


def last_character(couplet: str) -> str:
    """The character before the last mark."""
    return couplet.rstrip(MARKS)[-1:]
