"""Turns a story about one child into the same story told by that child.

Story models of children's tales hardly know the first person: after "when I was seven years old"
they go on with "he loved". Their own tales are good material, because most are about one girl or
boy: "Once there was a boy named Tim. He had a dog." becomes "I had a dog." A story ends before the
first sentence whose pronouns could mean somebody else. Quotations stay as they are.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

MIN_CHARACTERS = 200  # shorter stories teach endings

_KID = r"an? (?:\w+,? (?:and )?){0,3}(?P<kid>boy|girl)"
_NAMED = r"(?:named|called|whose name was) (?P<name>[A-Z][a-z]+)"
_ONCE = r"(?:Once upon a time,? |One day,? |Once,? |Long ago,? )"
# What stands before the child's first sentence, and whether that sentence lacks its subject.
_BEGINNINGS = [
    (
        re.compile(
            rf"{_ONCE}?[Tt]here (?:was|lived) {_KID} {_NAMED}\. (?=He |She |(?P=name) |One day)"
        ),
        False,
    ),
    (re.compile(rf"{_ONCE}?[Tt]here (?:was|lived) {_KID} {_NAMED},? who "), True),
    (re.compile(rf"{_ONCE}?[Tt]here (?:was|lived) {_KID} who "), True),
    (re.compile(rf"(?P<once>{_ONCE}){_KID} (?:named|called) (?P<name>[A-Z][a-z]+) "), True),
]
_NAMELESS = "Qqq"  # stands for a child without a name until it has become "I"

_QUOTATION = re.compile(r'("[^"]*"|“[^”]*”)')
_QUOTATION_MARK = re.compile('["“”]')
_SENTENCE_END = re.compile(
    r'(?<!Mr)(?<!Mrs)[.!?](["”])?'
    r"(?:\s+(?!(?:he|she|they|said|asked|\w+ (?:said|asked|replied))\b)|$)"
)
_MEN = re.compile(
    r"\b(?:[Dd]ad|[Dd]addy|father|[Gg]randpa|grandfather|man|king|uncle|brother|boys?|prince|son)\b"
)
_WOMEN = re.compile(
    r"\b(?:[Mm]om|[Mm]ommy|[Mm]um|[Mm]ama|[Mm]other|[Gg]randma|[Gg]randmother|woman|lady|queen|aunt"
    r"|sister|girls?|princess|daughter|teacher)\b"
)
_HE = re.compile(r"\b([Hh]e|[Hh]im|[Hh]is)\b")
_SHE = re.compile(r"\b([Ss]he|[Hh]er)\b")
_THEY = re.compile(r"\b([Tt]hey|them|[Tt]heir|themselves)\b")
_PRESENT = re.compile(r"\b(is|has|does|doesn't|isn't|likes|wants|loves|goes|says|are)\b")
_CHILD = re.compile(r"\b[Tt]he (?:little |young )?(?:boy|girl)\b")

# "her" is an object before these, else a possessive.
_AFTER_OBJECT = (
    r"(?=[.,!?;:]|\s*$|\s+(?:to|and|that|for|if|how|what|not|a|an|the|with|in|on|up|by|as|about|so"
    r"|but|from|when|some|again|feel|down|away|go|home|out|back|into|very|because|happy|sad|after"
    r"|too|it|through|at|of|who|where|why|inside|outside|goodbye|hello)\b)"
)
_SHE_TO_HE = [
    (r"\bShe\b", "He"),
    (r"\bshe\b", "he"),
    (rf"\bher\b{_AFTER_OBJECT}", "him"),
    (r"\bher\b", "his"),
    (r"\bHer\b", "His"),
    (r"\bherself\b", "himself"),
    (r"\bhers\b", "mine"),
]
_TO_FIRST = {
    "He's": "I'm",
    "he's": "I'm",
    "He": "I",
    "he": "I",
    "him": "me",
    "Him": "Me",
    "himself": "myself",
    "His": "My",
    "his": "my",
    "They": "We",
    "they": "we",
    "them": "us",
    "their": "our",
    "Their": "Our",
    "themselves": "ourselves",
}
_PRONOUN = re.compile(rf"(?<![\w'])(?:{'|'.join(sorted(_TO_FIRST, key=len, reverse=True))})\b(?!')")
_CLAUSE = frozenset(
    """
    and but so when because that as then until while if where since how what why
    """.split()  # noqa: SIM905
)
_COMPANION = (
    r"((?:his|the|a) (?:\w+ )?"
    r"(?:mom|mommy|friends?|mother|dog|grandma|sister|cat|family|Mom)|[A-Z][a-z]+)\b"
)
_SAID_ME = re.compile(r"\b(said|asked|replied|thought|cried|shouted) me\b(?=[.,]|\s*$)")
_NONSENSE = re.compile(
    r"\bme (was|were|had|said|did|and|could|felt)\b|\b[Ww]e \w+ me\b|\bus I\b|\bI [A-Z]|\bI and\b"
    r"|told us\b|\bme\.? [A-Z]?\w+ed\b"
)
_BEGINS_WELL = re.compile(r"I|One day|Once|Long ago")

_OPENINGS = [
    *["When I was {} years old,"] * 8,
    *["When I was a child,", "When I was little,", "When I was a little boy,"],
    *["When I was a little girl,", "When I was young,", "When I was in school,", "Last summer"],
    *["Yesterday", "One day", "Last winter", "Many years ago", "Once,", "As a child", "At home"],
    *["When I was small,", "Long ago", "Every day", "In the summer", "Last week"],
    *["On my birthday", "When I lived by the sea,", "When I was at my grandma's house,"],
    "In those days",
]
_AGES = ["four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_OPENING_SHARE, _NAME_SHARE = 0.65, 0.15  # the second of the stories without an opening


@dataclass(frozen=True)
class _Child:
    """The child of a story: name, and the pronouns and words for others that may not occur.

    Attributes:
        name: as in the story.
        others: pronouns of the other gender, which are somebody else's.
        rivals: people whom the child's own pronouns could mean.
    """

    name: str
    others: re.Pattern[str]
    rivals: re.Pattern[str]


def tell_in_first_person(story: str, rng: random.Random) -> str | None:
    """The story told by its child; None if it is about nobody like that, or too little is left.

    `rng` chooses how it begins: with "When I was seven years old," or the like, or directly.
    """
    matches = ((pattern.match(story), lacks) for pattern, lacks in _BEGINNINGS)
    beginning, lacks_subject = next((m for m in matches if m[0]), (None, False))
    if beginning is None:
        return None
    found = beginning.groupdict()
    name = found.get("name") or _NAMELESS
    is_boy = found["kid"] == "boy"
    child = _Child(name, _SHE if is_boy else _HE, _MEN if is_boy else _WOMEN)
    once = (found.get("once") or "").replace("Once upon a time", "One day")
    subject = f"{once}{name} " if lacks_subject else ""
    text = "".join(_tell(subject + story[beginning.end() :], child)).strip()
    if len(text) < MIN_CHARACTERS or not _BEGINS_WELL.match(text) or _NAMELESS in text:
        return None
    return _with_opening(text, name, rng)


def _with_opening(text: str, name: str, rng: random.Random) -> str:
    if text.startswith("One day, I ") and rng.random() < 0.5:
        text = text.removeprefix("One day, ")
    if not text.startswith("I "):
        return text
    if rng.random() < _OPENING_SHARE:
        return f"{rng.choice(_OPENINGS).format(rng.choice(_AGES))} {text}"
    return f"My name is {name}. {text}" if rng.random() < _NAME_SHARE else text


def _tell(text: str, child: _Child) -> Iterator[str]:
    """The sentences in the first person, up to the first whose persons are not clear."""
    are_together = False  # the child and somebody: "they" are "we"
    for sentence in _sentences(text):
        parts = _QUOTATION.split(sentence)
        plain = "".join(parts[::2])
        pair = re.search(rf"\b(?:{child.name}|[Hh]e) and |\band (?:{child.name}|he)\b", plain)
        they = _THEY.search(plain)
        if (
            _QUOTATION_MARK.search(plain)
            or child.rivals.search(_CHILD.sub("", plain))
            or child.others.search(plain)
            or _PRESENT.search(plain)
            or (they and not pair and not are_together)
        ):
            return
        are_together = bool(pair) or (are_together and bool(they))
        told = [part if n % 2 else _first_person(part, child.name) for n, part in enumerate(parts)]
        if None in told or _NONSENSE.search("".join(part or "" for part in told[::2])):
            return
        yield "".join(
            (part or "") if n % 2 else _SAID_ME.sub(r"I \1", part or "")
            for n, part in enumerate(told)
        )


def _sentences(text: str) -> Iterator[str]:
    """Whole sentences with the blanks after them; what follows the last one is left out."""
    begin = 0
    for end in _SENTENCE_END.finditer(text):
        yield text[begin : end.end()]
        begin = end.end()


def _first_person(part: str, name: str) -> str | None:
    """A part outside quotations in the first person; None if it is not clear how."""
    part = _CHILD.sub(name, part)
    for pattern, other in _SHE_TO_HE:
        part = re.sub(pattern, other, part)
    joined = _put_last(part, name)
    if joined is None:
        return None
    part = re.sub(rf"\b{name}('s)?\b", lambda m: _of_name(joined[: m.start()], bool(m[1])), joined)
    return _PRONOUN.sub(lambda m: _TO_FIRST[m.group()], part)


def _put_last(part: str, name: str) -> str | None:
    """The child behind its companion: "His mom and I went"; None if they are no subject."""
    pairs = list(re.finditer(rf"\b(?:{name}|[Hh]e) and (?=his|a|the|[A-Z])", part))
    if not pairs:
        return part
    other = re.compile(_COMPANION).match(part, pairs[0].end())
    before = part[: pairs[0].start()].strip()
    if len(pairs) > 1 or not other or not _begins_clause(before):
        return None
    who = other[1] if before else other[1][0].upper() + other[1][1:]
    return f"{part[: pairs[0].start()]}{who} and I{part[other.end() :]}"


def _of_name(before: str, is_possessive: bool) -> str:
    """What the child's name becomes after this text."""
    before = before.rstrip()
    begins_sentence = not before or before[-1] in ".!?"
    if is_possessive:
        return "My" if begins_sentence else "my"
    return "I" if begins_sentence or _begins_clause(before) else "me"


def _begins_clause(before: str) -> bool:
    """True if a subject follows this text."""
    return not before or before[-1] == "," or before.split()[-1].lower() in _CLAUSE
