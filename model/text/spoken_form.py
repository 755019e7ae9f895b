"""How a seed looks when it comes from speech: lower-case words, no punctuation but apostrophes.

Training renders the openings of some documents like this, and the generator prepares seeds alike,
so that the model meets at use what it has met in training. A leading space makes the first word
the same token that it is in the middle of a text.
"""

import random
import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_START = re.compile(r"(?:[.!?][\"”’']?\s+|\n+)(?=\S)")
_WRITTEN = re.compile(r"[.!?,;:\"“”\n]")
_HAN = r"㐀-䶿一-鿿豈-﫿"
_SPACE_IN_HAN = re.compile(rf"(?<=[{_HAN}])\s+(?=[{_HAN}])")
_STARTS_HAN = re.compile(rf"[{_HAN}]")
_PRONOUNS = frozenset(
    ["he", "she", "they", "it", "but", "and", "so", "then", "his", "her", "their", "this", "that"]
)

_MIN_WORDS, _MAX_WORDS = 2, 12
_MIN_REST = 120  # characters that must follow a rendered opening


def to_spoken_form(text: str) -> str:
    """Only the words of a text, lower-case, each after a space: "Mum's here!" → " mum's here"."""
    words = (match.group().lower().replace("’", "'") for match in _WORD.finditer(text))
    return "".join(f" {word}" for word in words)


def prepare_seed(seed: str) -> str:
    """A seed as the model wants it: written text stays as it is, spoken words become uniform.

    Text with punctuation within it counts as written. Chinese loses the spaces that the recogniser
    puts between words, and gets none in front.
    """
    text = _SPACE_IN_HAN.sub("", seed.strip())
    if not text or _WRITTEN.search(text) or _STARTS_HAN.match(text):
        return text
    return to_spoken_form(text)


def with_spoken_opening(document: str, rng: random.Random) -> str:
    """The document from one of its sentences on, the first 2 to 12 words of it as if spoken."""
    return spoken_and_written(document, rng)[0]


def spoken_and_written(document: str, rng: random.Random) -> tuple[str, str]:
    """The document from one of its sentences on, with a spoken opening, and as it was.

    Half of the time that sentence is the first. Others are seldom ones that begin with a pronoun:
    people name what they want to hear about.
    """
    begin = 0 if rng.random() < 0.5 else _pick_start(document, rng)
    text = document[begin:]
    count = rng.randint(_MIN_WORDS, _MAX_WORDS)
    words = list(_WORD.finditer(text[:400]))[:count]
    if not words or len(text) - words[-1].end() < _MIN_REST:
        return document, document
    opening, rest = text[: words[-1].end()], text[words[-1].end() :]
    if opening.count('"') % 2:  # the opening quote is dropped, so must be its partner
        rest = rest.replace('"', "", 1)
    return to_spoken_form(opening) + rest, text


def _pick_start(document: str, rng: random.Random) -> int:
    """Where a sentence begins that has enough text after it; 0 if there is none."""
    last = len(document) - 2 * _MIN_REST
    starts = [m.end() for m in _SENTENCE_START.finditer(document) if m.end() <= last]
    if not starts:
        return 0
    named = [s for s in starts if _first_word(document, s) not in _PRONOUNS]
    return rng.choice(named if named and rng.random() < 0.8 else starts)


def _first_word(document: str, start: int) -> str:
    match = _WORD.search(document, start)
    return match.group().lower() if match else ""
