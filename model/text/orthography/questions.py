"""Tells whether spoken words are a question, which a recogniser writes without its mark.

By word order alone: a question word or an auxiliary stands before the subject ("what is the sea",
"can you swim"), and no subject comes first ("what a day", "when i was seven").
"""

import itertools


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BE = _words("is are was were am isn't aren't wasn't weren't")
_AUXILIARIES = _BE | _words("""
    do does did can could will would shall should may might must have has had
    don't doesn't didn't can't couldn't won't wouldn't shouldn't haven't hasn't hadn't mustn't
    """)
_PRONOUNS = _words("i you he she it we they")
_DETERMINERS = _words("""
    the a an my your his her its our their this that these those there some any all every each no
    people everyone everybody someone somebody anyone anybody nobody nothing something anything
    """)
_SUBJECTS = _PRONOUNS | _DETERMINERS
_PLURALS = _words("people children men women fish sheep mice police")

_CONTRACTED = _words("""
    who's what's when's where's why's how's who'd what'd where'd how'd who'll what'll where'll
    who're what're where're how're
    """)
_OPEN_QUESTIONS = frozenset(
    [
        *("what if", "what about", "what for", "what else", "how about", "how come", "how so"),
        *("why not", "who else", "where else", "why on", "what on", "how on"),
    ]
)
_STATEMENTS = (
    *("what's more", "what is more", "which is why", "don't you dare"),
    *("how to", "where to", "what to", "when to", "who to"),
)
_WITH_A_SUBJECT_VERB = _words("""
    happened happens makes made causes caused comes came goes went lies lives lived keeps kept
    brings brought gives gave turns turned became becomes sounds tastes smells looks eats
    """)
"""Verbs of which "what" is the subject: "what makes a rainbow"."""
_ALWAYS = _words("""
    is are am was isn't aren't wasn't weren't does did doesn't didn't can could can't couldn't
    would wouldn't won't shouldn't has hasn't haven't hadn't
    """)
"""Auxiliaries that begin questions only; the others also begin orders, wishes and conditions."""
_SECOND = {
    "do": _PRONOUNS | _PLURALS | _words("these those all any"),
    "don't": _PRONOUNS | _PLURALS,
    "were": _words("you we they the these those your my there any"),  # not "were i"
    "will": _SUBJECTS,
    "shall": _PRONOUNS,
    "should": _SUBJECTS,
    "may": _words("i we"),
    "might": _PRONOUNS,
    "must": _SUBJECTS,
    "have": _PRONOUNS,
    "had": frozenset(["you"]),
}
"""The words that make a question of the other auxiliaries: "do you" asks, "do the dishes" not."""


def is_question(seed: str) -> bool:
    """True if these spoken words, lower case and without marks, ask for something."""
    words = seed.split()
    if len(words) < 2:
        return words in (["why"], ["how"], ["who"], ["where"])
    first, second = words[0], words[1]
    pair = f"{first} {second}"
    if any(f"{seed} ".startswith(f"{opening} ") for opening in _STATEMENTS):
        return False
    if pair in _OPEN_QUESTIONS or first in _CONTRACTED:
        return True
    if first in _ALWAYS or second in _SECOND.get(first, ()):
        return True
    if first == "do":
        return second.endswith("s") and second not in ("this", "us")
    if first in ("when", "where"):
        return second in _AUXILIARIES
    if first in ("who", "why"):
        return second not in _SUBJECTS
    if first == "what" and second in _WITH_A_SUBJECT_VERB:
        return not _BE & set(words[2:])  # "what happened next was a surprise"
    return first in ("what", "which", "whose", "whom", "how") and _is_inverted(words[1:])


def _is_inverted(words: list[str]) -> bool:
    """True if an auxiliary comes before any subject: "many stars are there".

    What follows "of" is no subject: "which of my friends can i trust".
    """
    for before, word in itertools.pairwise(["", *words]):
        if word in _AUXILIARIES:
            return True
        if word in _SUBJECTS and before != "of":
            return False
    return False
