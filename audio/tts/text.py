"""Text as a speech engine takes it: cleaned, and cut into pieces that it speaks whole."""

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise

from config.languages import HAN

REQUEST_CHARACTERS = 1000  # of one request to the worker: within a pipe's 64 KiB

_BLANKED_CATEGORIES = {"Cc", "Cs", "Co", "Cn"}  # control codes, halves of characters, no characters
_ZERO_WIDTH_SPACE = "\u200b"
_JOINERS = "\u200c\u200d"  # they shape Persian and Indic words, and join emoji

_CLOSING = r"[\"'”’»)\]」』）]*"
_CLAUSE_END = re.compile(rf"[.!?…。！？,;:，；：、—]{_CLOSING}$")
_ABBREVIATION = (
    r"(?<!\b[A-Z])(?<!\b(?:[MDJS]r|[MV]s|vs|St|Lt|Mt|No))(?<!\b(?:Mrs|Rev|Col|Gen|Sgt|Sen|Gov))"
    r"(?<!\b(?:Prof|Capt))"
)
# Places to cut at, best first: after a sentence, after a clause, at a blank, after a Chinese
# particle, at a mark inside a long word such as an address, between any two characters.
_PLACES = tuple(
    re.compile(place)
    for place in (
        rf"{_ABBREVIATION}[.!?…]{_CLOSING}(?=\s)|[。！？…]+{_CLOSING}",
        rf"[,;:—]{_CLOSING}(?=\s)|[，；：、—]+{_CLOSING}",
        r"(?=\s)",
        rf"[的了们吗呢吧](?=[{HAN}])",
        r"[!-/:-@\[-`{-~–]",
        r"",
    )
)
_SENTENCE_END, _CLAUSE_MARK = _PLACES[:2]
_NUMBER_MARKS = ".,:/-'’·٫٬"  # inside numbers, dates and times: 1,299.99, 14:30, 2024-11-05
_NUMBER_UNITS = "%‰°"
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)  # two of them are a flag
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_VIRAMA_CLASS = 9  # canonical combining class of the mark that ties two Indic consonants
_THAI_BEFORE, _THAI_AFTER = "เแโใไ", "ะาำๅๆฯ"  # vowels and marks, written before or after


def clean_text(text: str) -> str:
    """Text on one line without what cannot be spoken, in time linear in its length.

    Control codes and halves of characters become blanks. Invisible marks, such as those of
    the direction of writing, are removed: engines take them for the end of a word. Digits and
    letters of full width, and the digits of other scripts, become those of ASCII: espeak-ng says
    nothing at １２ in any language, and at ٣ only in those that are written so.
    """
    return " ".join("".join(map(_spoken, text)).split())


def _spoken(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if character.isalnum() or character.isspace():
        is_full_width = unicodedata.east_asian_width(character) == "F"
        return unicodedata.normalize("NFKC", character) if is_full_width else character
    category = unicodedata.category(character)
    if category in _BLANKED_CATEGORIES or character == _ZERO_WIDTH_SPACE:
        return " "
    return "" if category == "Cf" and character not in _JOINERS else character


def split_text(text: str, limit: int = REQUEST_CHARACTERS) -> list[str]:
    """Cut into pieces of at most `limit` characters, at the best places in their second halves."""
    pieces, begin = [], 0
    while len(text) - begin > limit:
        window = text[begin : begin + limit + 1]
        cut = _place_to_cut(window, (limit + 1) // 2, limit, limit)
        pieces.append(window[:cut].rstrip())
        begin += cut
        while text[begin : begin + 1].isspace():
            begin += 1
    return [*pieces, text[begin:]] if begin < len(text) else pieces


def split_clauses(text: str, shortest: int) -> list[str]:
    """Cut behind each sentence, and behind each clause that leaves no part below `shortest`.

    A mark with a small letter behind it ends no sentence: "Look!" said the boy.
    """
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    sentences = _cut(text, [end for end in ends if not text[end + 1 : end + 2].islower()])
    pieces = []
    for sentence in sentences:
        cuts = [0]
        for found in _CLAUSE_MARK.finditer(sentence):
            if min(found.end() - cuts[-1], len(sentence) - found.end()) >= shortest:
                cuts.append(found.end())
        pieces += _cut(sentence, cuts)
    return pieces


def _cut(text: str, places: list[int]) -> list[str]:
    bounds = pairwise([0, *places, len(text)])
    return [part for begin, end in bounds if (part := text[begin:end].strip())]


def split_scripts(text: str, is_foreign: Callable[[str], bool]) -> list[str]:
    """Cut a text where it changes to letters that are foreign to a voice, and back.

    Marks and numbers between two letters of one kind stay with them. Between letters of both kinds
    the cut is at a blank, or before the second one.
    """
    pieces: list[str] = []
    begin, last, kind = 0, 0, None  # the piece and the last letter in it, and that letter's kind
    for index, character in enumerate(text):
        if not character.isalpha() and not is_foreign(character):
            continue
        foreign = is_foreign(character)
        if kind is not None and foreign != kind:
            between = text[last + 1 : index]
            blank = between.rfind(" ") if foreign else between.find(" ")
            cut = last + 1 + (blank if blank >= 0 else len(between))
            pieces.append(text[begin:cut])
            begin = cut
        last, kind = index, foreign
    return [piece.strip() for piece in [*pieces, text[begin:]] if piece.strip()]


def split_until(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Cut into pieces that fit, each at the best place in its middle third.

    A single character is returned as it is.
    """
    if len(text) < 2 or fits(text):
        return [text] if text else []
    return [piece for half in halve(text) for piece in split_until(half, fits)]


def halve(text: str) -> list[str]:
    """Cut in two at the best place in the middle third; what has no two halves gives none."""
    if len(text) < 2:
        return []
    third = max(len(text) // 3, 1)
    cut = _place_to_cut(text, third, len(text) - third, len(text) - 1)
    return [half for half in (text[:cut].rstrip(), text[cut:].lstrip()) if half]


def ends_clause(text: str) -> bool:
    """True if the text ends in a mark at which a speaker pauses."""
    return bool(_CLAUSE_END.search(text, max(0, len(text) - 10)))


def _place_to_cut(text: str, low: int, high: int, limit: int) -> int:
    """The index of the best place to cut at: from `low` to `high`, else from 1 to `limit`.

    Of places that are equally good it is the nearest to `high`, which also serves where none is.
    Numbers and characters made of several code points stay whole if they can.
    """
    for first, last in ((low, high), (1, limit)):
        for place in _PLACES:
            ends = [found.end() for found in place.finditer(text, first - 1)]
            for end in sorted(ends, key=lambda end: abs(end - high)):
                if first <= end <= last and not _is_joined(text, end):
                    return end
    return high


def _is_joined(text: str, index: int) -> bool:
    """True if a cut before `index` would break a number or a character."""
    before, after = text[index - 1], text[index]
    if unicodedata.category(after)[0] == "M" or unicodedata.combining(before) == _VIRAMA_CLASS:
        return True
    if before in _JOINERS or after in _JOINERS or ord(after) in _SKIN_TONES:
        return True
    if before in _THAI_BEFORE or after in _THAI_AFTER:
        return True
    if ord(before) in _REGIONAL_INDICATORS and ord(after) in _REGIONAL_INDICATORS:
        return True
    return _is_in_number(text, index)


def _is_in_number(text: str, index: int) -> bool:
    """True if a cut before `index` would break a number, or part it from its currency or unit."""
    before, after = text[index - 1], text[index]
    if before.isnumeric():
        is_amount = unicodedata.category(after) == "Sc"
        return after.isnumeric() or is_amount or after in _NUMBER_MARKS + _NUMBER_UNITS
    if not after.isnumeric():
        return False
    is_amount = unicodedata.category(before) == "Sc"
    return is_amount or (before in _NUMBER_MARKS and text[max(0, index - 2)].isnumeric())
