"""Words near a trigger phrase: parts for the grammar, near-phrases, suggestions for the user."""

from collections.abc import Collection, Iterable, Sequence

_LEADS = ("a", "the", "my", "this", "your")
_CLOSE = 0.5  # of a word's letter pairs must be shared
_ALIKE = 0.5  # Dice's coefficient: words as near as this are one to the ear


def parts(phrase: Sequence[str]) -> list[str]:
    """What the phrase is made of, without itself: "hey" and "computer" of "hey computer".

    A grammar of the phrase and "[unk]" alone takes much for the phrase; beside its parts the
    recogniser has somewhere better to go. More than these is too much for what listens always:
    with "a computer" it hears that for "hey computer" where there is noise.
    """
    whole = len(phrase)
    found = [
        " ".join(phrase[start:end])
        for start in range(whole)
        for end in range(start + 1, whole + 1)
        if end - start < whole
    ]
    return [*dict.fromkeys(found)]


def near_phrases(phrase: Sequence[str]) -> list[str]:
    """Phrases that must not be taken for it: its parts, and its last word after other words."""
    led = [f"{lead} {phrase[-1]}" for lead in _LEADS if len(phrase) > 1]
    return [entry for entry in [*parts(phrase), *led] if entry != " ".join(phrase)]


def similar(word: str, vocabulary: Collection[str], count: int) -> list[str]:
    """The `count` words spelt most like `word`, most alike first; fewer where none are close."""
    scored = ((-likeness(word, other), other) for other in vocabulary)
    return [other for score, other in sorted(scored)[:count] if score <= -_CLOSE]


def unlike(words: Iterable[str], others: Collection[str]) -> list[str]:
    """The words that are alike to none of the others: not "he" beside "hey"."""
    return [word for word in words if all(likeness(word, other) < _ALIKE for other in others)]


def likeness(one: str, other: str) -> float:
    """How alike two words are spelt: 0 nothing shared, 1 the same; Dice's coefficient."""
    mine, its = _pairs(one), _pairs(other)
    return 2 * len(mine & its) / (len(mine) + len(its))


def _pairs(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[at : at + 2] for at in range(len(padded) - 1)}
