"""Judge a trigger phrase as text, before it wakes anybody by mistake.

Published advice for wake words: two words, four syllables or more, nothing said in everyday talk.
"""

import re

from audio.common_words import COMMON_WORDS
from audio.near_words import likeness
from audio.phrases import Phrase

_FEWEST_SYLLABLES = 4
_TOO_CLOSE = 0.7  # Dice's coefficient of letter pairs


def weakness(phrase: Phrase) -> str | None:
    """Why the phrase will often wake by mistake, in half a sentence; None where it need not."""
    words = phrase.words
    if all(word in COMMON_WORDS for word in words):
        return "it is made of words of everyday talk"
    if len(words) == 1 and (near := _common_word_near(words[0])):
        return f'it is close to the common word "{near}"'
    count = sum(map(syllables, words))
    if len(words) == 1:
        return "a single word is easily taken for another"
    if count < _FEWEST_SYLLABLES:
        return f"it has fewer than {_FEWEST_SYLLABLES} syllables"
    return None


def syllables(word: str) -> int:
    """About how many; each Chinese character is one, elsewhere each group of vowels."""
    chinese = len(re.findall(r"[\u4e00-\u9fff]", word))
    groups = re.findall(r"[aeiouyáàâäéèêëíìîïóòôöúùûü]+", word.lower())
    silent = bool(re.search(r"[^aeiouyl]e$|[^aeiouyst]es$|[^aeiouydt]ed$", word.lower()))
    return chinese + (max(1, len(groups) - silent) if groups else 0)


def _common_word_near(word: str) -> str | None:
    best = max(sorted(COMMON_WORDS), key=lambda other: likeness(word, other))
    return best if likeness(word, best) >= _TOO_CLOSE else None
