"""Finds texts that are not in the language that is trained, by their letters and small words."""

import re
from collections.abc import Sequence

from config.languages import LANGUAGES, is_han
from model.data.user_texts import UserText
from model.text.tokenizer import encode, load_encoding

_SAMPLES = 10  # evenly spread over a text ...
_SAMPLE_CHARACTERS = 2_000  # ... of so many each
_FEWEST_LETTERS = 200  # that tell anything
_HAN_SHARE = 0.3  # of the letters of a Chinese text, at least; English words are longer
_LATIN_SHARE = 0.7  # of the letters of a text in a Latin alphabet, at least
_SMALL_WORDS_SHARE = 0.15  # of the words of an English text; 0.3 to 0.4 is usual ...
_TOKENS_PER_WORD = 1.15  # ... but in notes such as "Rain. Bought milk", whose words it then tells
_WORD = re.compile(r"[^\W\d_]+")
_MOST_NAMES = 3


def other_languages(texts: Sequence[UserText], language: str) -> list[str]:
    """Sentences about the texts that are in another language, for the user; none if all fit."""
    others = [text for text in texts if not looks_like(text.text, language)]
    chinese = [text for text in others if looks_like(text.text, "zh")]
    strange = [text for text in others if text not in chinese]
    said = []
    if chinese:
        said.append(
            f"{_names(chinese)} in Chinese, and weights for the language {language} are trained: "
            "they learn little from it. `afterword train --language zh` trains those for Chinese; "
            "texts in a subfolder zh are for these alone."
        )
    if strange:
        said.append(
            f"{_names(strange)} not in the language that is trained ({language}): the weights "
            "learn little from it, and forget; put it elsewhere, or train from scratch with "
            "--corpus and --out."
        )
    return said


def looks_like(text: str, language: str) -> bool:
    """False if a text is clearly not in a language of `LANGUAGES`.

    Of a language without spaces the share of Chinese characters tells; of another, the share of
    letters of the Latin alphabet, that of the language's small words (the, of, in ...), and
    whether cl100k_base has its words as tokens: English ones need 1.0 to 1.1 each, French 1.2,
    German 1.4, Polish 2.3.
    """
    sample = _sample(text)
    letters = [c for c in sample if c.isalpha()]
    if len(letters) < _FEWEST_LETTERS:
        return True
    spoken = LANGUAGES[language]
    if not spoken.word_space:
        return sum(map(is_han, letters)) >= _HAN_SHARE * len(letters)
    if sum(c < "\u0250" for c in letters) < _LATIN_SHARE * len(letters):
        return False
    words = _WORD.findall(sample.lower())
    small = sum(word in spoken.unfinished_words for word in words)
    if small >= _SMALL_WORDS_SHARE * len(words):
        return True
    tokens = encode(load_encoding(), "".join(f" {word}" for word in words))
    return len(tokens) <= _TOKENS_PER_WORD * len(words)


def _sample(text: str) -> str:
    step = max(_SAMPLE_CHARACTERS, len(text) // _SAMPLES)
    return "\n".join(text[i : i + _SAMPLE_CHARACTERS] for i in range(0, len(text), step))


def _names(texts: Sequence[UserText]) -> str:
    """Names of the texts, the first ones of many, and the verb."""
    names = ", ".join(text.path.name for text in texts[:_MOST_NAMES])
    more = len(texts) - _MOST_NAMES
    return f"{names} and {more} more are" if more > 0 else f"{names} {_verb(len(texts))}"


def _verb(count: int) -> str:
    return "are" if count > 1 else "is"
