"""Word boundaries: what may follow a text without being glued to its last word.

A spoken seed ends with a whole word, and only its continuation is spoken: "erman" after "a fish",
"2" after "chapter 1" or "'s" after "the dog" would be nonsense. Everything is decided by the last
boundary and the characters after it, so the text may come in pieces.
"""

import functools
import unicodedata
from enum import Enum, auto

from config.languages import is_unspaced


class Boundary(Enum):
    """The end of a text, by what may follow it.

    OPEN: anything. The text is empty or ends in a blank, a hyphen, a dash, an opening mark or a
        character of a script without blanks between words, such as Chinese.
    WORD: no part of a word. The text ends in a letter or digit.
    MARK: no letter or digit; after "3." a "5" would go on with the number. The text ends in a
        closing mark.
    """

    OPEN = auto()
    WORD = auto()
    MARK = auto()


class _Kind(Enum):
    """A character, by what it means for the words beside it."""

    SEPARATOR = auto()  # a blank, an em dash, a character of an unspaced script or a mark as wide
    LETTER = auto()  # or a digit, "_", or a character without a meaning in texts
    EXTENDER = auto()  # changes the character before it
    APOSTROPHE = auto()  # or a single quotation mark, which looks alike
    OPENER = auto()  # a hyphen or an opening mark: the next letter follows it directly
    CLOSER = auto()
    MARK = auto()  # any other; closes where something is before it, as a quotation mark does


_EM_DASHES = "—―"  # other dashes join words where they have no blanks around them
_APOSTROPHES = "'’‘‛＇′´`"
_OPENERS = "¿¡"  # those without an own category
_CLOSERS = ".,;:!?%"
_EXTENDERS = ("Mn", "Mc", "Me", "Cf", "Sk")  # accents, variation selectors, joiners, modifiers

_LOOK_BACK = 100  # characters: more than the marks and accents at the end of a text
_UNASSIGNED = ("Cn", "Co", "Cs", "Cc")
_MOST_CODE_POINTS = 250  # looked at of a range


def _kind(character: str) -> _Kind:
    category = unicodedata.category(character)
    if character.isspace() or character in _EM_DASHES:
        return _Kind.SEPARATOR
    if character in _APOSTROPHES:
        return _Kind.APOSTROPHE
    if category in _EXTENDERS:
        return _Kind.EXTENDER
    if category[0] in "LNC" or category == "Pc":
        return _Kind.SEPARATOR if is_unspaced(character) else _Kind.LETTER
    if unicodedata.east_asian_width(character) in "WF":
        return _Kind.SEPARATOR
    if category in ("Pd", "Ps", "Pi") or character in _OPENERS:
        return _Kind.OPENER
    return _Kind.CLOSER if category == "Pe" or character in _CLOSERS else _Kind.MARK


_GLUED = {
    Boundary.OPEN: (),
    Boundary.WORD: (_Kind.LETTER, _Kind.EXTENDER, _Kind.APOSTROPHE, _Kind.OPENER),
    Boundary.MARK: (_Kind.LETTER, _Kind.EXTENDER),
}
"""The kinds that may not follow each boundary directly. Openers follow a word after a blank: "fish
(the big one)"; "fish-" and "fish(" lead into "fish-bone" and "fish(es)"."""


def _after(boundary: Boundary, kind: _Kind) -> Boundary:
    """The boundary after one more character."""
    match kind:
        case _Kind.SEPARATOR | _Kind.OPENER:
            return Boundary.OPEN
        case _Kind.LETTER:
            return Boundary.WORD
        case _Kind.CLOSER:
            return Boundary.MARK
        case _Kind.APOSTROPHE | _Kind.MARK if boundary is Boundary.WORD:
            return Boundary.MARK
        case _:
            return boundary


def boundary_after(text: str) -> Boundary:
    """The boundary at the end of a text."""
    boundary = Boundary.OPEN
    for character in text[-_LOOK_BACK:]:
        boundary = _after(boundary, _kind(character))
    return boundary


def advance(boundary: Boundary, continuation: str) -> Boundary | None:
    """The boundary after the first characters of a continuation; None if they are glued.

    OPEN is final: a word of the continuation's own may have begun.
    """
    for character in continuation:
        if boundary is Boundary.OPEN:
            break
        kind = _kind(character)
        if kind in _GLUED[boundary]:
            return None
        boundary = _after(boundary, kind)
    return boundary


@functools.cache
def share_of_word_parts(code_points: range) -> float:
    """The share of characters that would go on with a word: letters, digits, accents.

    It is estimated for many of them. Code points that stand for no printable character do not
    count; 1 where there is none.
    """
    step = len(code_points) // _MOST_CODE_POINTS | 1  # odd: charts have columns of 16
    characters = [chr(code) for code in code_points[::step]]
    kinds = [_kind(c) for c in characters if unicodedata.category(c) not in _UNASSIGNED]
    parts = sum(kind in (_Kind.LETTER, _Kind.EXTENDER) for kind in kinds)
    return parts / len(kinds) if kinds else 1.0
