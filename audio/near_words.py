"""Words near a trigger phrase: decoys for the grammar, suggestions for the user.

A grammar of the phrase and "[unk]" alone takes much for the phrase. Beside decoys, which end in the
same words but are not it, the recogniser has somewhere better to go.
"""

from collections.abc import Callable, Collection, Sequence

_LEADS = ("a", "the", "my", "this", "your")
_CLOSE = 0.5  # of a word's letter pairs must be shared


def decoys(phrase: Sequence[str], knows: Callable[[str], bool]) -> list[str]:
    """Grammar entries that are not the phrase: its parts, and its last word after other words.

    For "hey computer": "hey", "computer", "a computer", "the computer" and so on. Words that are
    only spelt alike are no good: most are rare names, and the recogniser hears "charvis" or
    "blass" where "jarvis" and "glass" were said (4 of 40 real recordings; without them none).
    """
    parts = [
        " ".join(phrase[start:end])
        for start in range(len(phrase))
        for end in range(start + 1, len(phrase) + 1)
        if end - start < len(phrase)
    ]
    led = [f"{lead} {phrase[-1]}" for lead in _LEADS if len(phrase) > 1 and knows(lead)]
    return [entry for entry in dict.fromkeys([*parts, *led]) if entry != " ".join(phrase)]


def similar(word: str, vocabulary: Collection[str], count: int) -> list[str]:
    """The `count` words spelt most like `word`, most alike first; fewer where none are close."""
    scored = ((-likeness(word, other), other) for other in vocabulary)
    return [other for score, other in sorted(scored)[:count] if score <= -_CLOSE]


def likeness(one: str, other: str) -> float:
    """How alike two words are spelt: 0 nothing shared, 1 the same; Dice's coefficient."""
    mine, its = _pairs(one), _pairs(other)
    return 2 * len(mine & its) / (len(mine) + len(its))


def _pairs(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}
