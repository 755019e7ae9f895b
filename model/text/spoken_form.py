"""The spoken form of a seed: lower-case words without punctuation but apostrophes.

Training writes the openings of some documents in it, and the generator converts seeds to it, so
that inference gives the model what training has. A leading space makes the first word the same
token that it is in the middle of a text. Weights of another manner get the seed as it is written:
"Why is the sea salty?".
"""

import random
import re
from collections.abc import Collection

from config.languages import HAN, is_han
from model.text.manner import SPOKEN, Manner
from model.text.orthography.names import with_names
from model.text.orthography.questions import is_question

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_START = re.compile(r"(?:[.!?][\"”’']?\s+|\n+)(?=\S)")
_WRITTEN = re.compile(r"[.!?,;:\"“”\n]")
_HYPHEN_AT_END = re.compile(r"[^\W_][-‐‑]$")
_SPACE_IN_HAN = re.compile(rf"(?<=[{HAN}])\s+(?=[{HAN}])")
_I = re.compile(r"(?<![^\W_])(?<!['’.-])i(?=['’](?:m|ve|d|ll)\b|\s|$)")
_PRONOUNS = frozenset(
    ["he", "she", "they", "it", "but", "and", "so", "then", "his", "her", "their", "this", "that"]
)

_MIN_OPENING_WORDS, _MAX_OPENING_WORDS = 2, 12
_MIN_REST_CHARACTERS = 120  # that must follow a spoken opening
_LONGEST_OPENING_CHARACTERS = 400


def to_spoken_form(text: str) -> str:
    """The words of a text, lower-case, each after a space: "Mum's here!" → " mum's here"."""
    words = (match.group().lower().replace("’", "'") for match in _WORD.finditer(text))
    return "".join(f" {word}" for word in words)


def is_written(text: str) -> bool:
    """True if the text has marks that no recogniser writes."""
    return bool(_WRITTEN.search(text))


def prepare_seed(seed: str, manner: Manner = SPOKEN, names: Collection[str] = ()) -> str:
    """The model's input for a seed, without the manner's opening.

    `names`: words that are capital where the manner wants capitals (model.text.orthography.names).

    Text with punctuation counts as written and stays; so does one with capitals, where the manner
    wants them. Spoken words get their spoken form, or the written one that the manner asks for. A
    hyphen at the end is kept, because it asks for the rest of the word. Chinese loses the spaces
    that the recogniser puts between words, and gets none in front.
    """
    text = _SPACE_IN_HAN.sub("", seed.strip())
    if not text or is_han(text[0]):
        return text
    if manner.capitals:
        return _written_form(text, manner.question_mark, names)
    if is_written(text):
        return text
    return to_spoken_form(text) + ("-" if _HYPHEN_AT_END.search(text) else "")


def _written_form(text: str, question_mark: bool, names: Collection[str]) -> str:
    """The text with capitals and, after spoken words, the mark of a question.

    "why did i go to rome" → "Why did I go to Rome?"
    """
    is_spoken = text.islower() and not is_written(text)
    mark = "?" if question_mark and is_spoken and is_question(text) else ""
    if is_spoken:
        text = with_names(" ".join(text.split()), names)
    text = _I.sub("I", text)
    return text[:1].upper() + text[1:] + mark


def with_spoken_opening(document: str, rng: random.Random) -> str:
    """The document from one of its sentences on, the first 2 to 12 words in spoken form."""
    return spoken_and_written(document, rng)[0]


def spoken_and_written(document: str, rng: random.Random) -> tuple[str, str]:
    """The document from one of its sentences on, with a spoken opening, and as written.

    Half of the time that sentence is the first. Others seldom begin with a pronoun: users name
    what they want to hear about. Too short a document is returned unchanged, twice.
    """
    begin = 0 if rng.random() < 0.5 else _pick_start(document, rng)
    text = document[begin:]
    count = rng.randint(_MIN_OPENING_WORDS, _MAX_OPENING_WORDS)
    words = list(_WORD.finditer(text[:_LONGEST_OPENING_CHARACTERS]))[:count]
    if not words or len(text) - words[-1].end() < _MIN_REST_CHARACTERS:
        return document, document
    opening, rest = text[: words[-1].end()], text[words[-1].end() :]
    if opening.count('"') % 2:  # the spoken form drops the opening quote; drop the closing one
        rest = rest.replace('"', "", 1)
    return to_spoken_form(opening) + rest, text


def _pick_start(document: str, rng: random.Random) -> int:
    """The index of a sentence that has enough text after it; 0 if there is none."""
    last = len(document) - 2 * _MIN_REST_CHARACTERS
    starts = [m.end() for m in _SENTENCE_START.finditer(document) if m.end() <= last]
    if not starts:
        return 0
    named = [s for s in starts if _first_word(document, s) not in _PRONOUNS]
    return rng.choice(named if named and rng.random() < 0.8 else starts)


def _first_word(document: str, start: int) -> str:
    """The first word at or after this index, lower-case; empty if there is none."""
    match = _WORD.search(document, start)
    return match.group().lower() if match else ""
