"""Words that nearly sound like a trigger phrase: given to the grammar, they catch what is not it.

A grammar of the phrase and "[unk]" alone takes much for the phrase. With near-words beside it the
recogniser has somewhere better to go; on real speech that removes most false alarms.
"""

import re
from collections.abc import Collection, Sequence

_LEADS = ("a", "the", "my")  # "the computer" is no "hey computer"
_SHORTEST = 4  # letters; decoys of shorter words catch the word itself
_CLOSE = 0.5  # of a word's letter pairs must be shared


def near_words(phrase: Sequence[str], vocabulary: Collection[str], count: int = 22) -> list[str]:
    """Up to `count` entries for a grammar, none of which contains the phrase.

    The phrase's own parts, its last word after other words, and the words of the vocabulary whose
    spelling is nearest; the same for the same input. Words spelt without Latin letters get the
    parts only, for their spelling says little about their sound.
    """
    known = set(vocabulary)
    parts = [
        " ".join(phrase[start:end])
        for start in range(len(phrase))
        for end in range(start + 1, len(phrase) + 1)
        if end - start < len(phrase)
    ]
    led = [f"{lead} {phrase[-1]}" for lead in _LEADS if lead in known and len(phrase) > 1]
    chosen = list(dict.fromkeys([*parts, *led]))
    words = [word for word in dict.fromkeys(phrase) if len(word) >= _SHORTEST and word.isascii()]
    for at, word in enumerate(words):
        share = (count - len(chosen)) // (len(words) - at)
        chosen += _neighbours(word, vocabulary, share, {*chosen, *phrase})
    return chosen[:count]


def _neighbours(word: str, vocabulary: Collection[str], count: int, taken: set[str]) -> list[str]:
    """The words that share most letter pairs with `word`, nearest first.

    Left out: what merely inflects it, what is likely to sound like it, and rare words. Those are
    mostly names ("charvis"), which the recogniser would hear instead of the phrase itself.
    """
    known = set(vocabulary)
    target = _pairs(word)
    ranked = sorted(
        (-score, other)
        for other in vocabulary
        if abs(len(other) - len(word)) <= 2
        and (score := _likeness(target, _pairs(other))) >= _CLOSE
        and other.isalpha()
    )
    chosen: dict[str, str] = {_sound(word): word}
    for _, other in ranked:
        inflects = other.startswith(word) or word.startswith(other)
        if other not in taken and not inflects and _is_common(other, known):
            chosen.setdefault(_sound(other), other)
    return list(chosen.values())[1 : count + 1]


def _is_common(word: str, known: set[str]) -> bool:
    """A guess, for the vocabulary has no counts: common words come in several forms."""
    stems = (word.removesuffix(ending) for ending in ("s", "ed", "d", "ing", "er"))
    return f"{word}s" in known or any(
        stem != word and len(stem) >= _SHORTEST and f"{stem}s" in known for stem in stems
    )


def similar(word: str, vocabulary: Collection[str], count: int) -> list[str]:
    """The `count` words spelt most like `word`, most alike first; fewer where none are close."""
    target = _pairs(word)
    scored = ((-_likeness(target, _pairs(other)), other) for other in vocabulary)
    return [other for score, other in sorted(scored)[:count] if score <= -_CLOSE]


def _pairs(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}


def _likeness(one: set[str], other: set[str]) -> float:
    """Dice's coefficient: 0 nothing shared, 1 the same."""
    return 2 * len(one & other) / (len(one) + len(other))


def _sound(word: str) -> str:
    """A crude key that words of the same sound share: consonants only, no doubles."""
    plain = word.replace("ph", "f").replace("ck", "k").replace("y", "i")
    plain = plain.translate(str.maketrans("cqz", "kks"))
    return re.sub(r"(.)\1+", r"\1", plain[:1] + re.sub(r"[aeiou]", "", plain[1:]))
