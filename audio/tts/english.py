"""The spoken form of English text: money, times, dates, titles, numbers and the like in words.

Engines disagree about them: espeak-ng reads "$3.50" as "dollar three point five zero" and
"Henry VIII" as "Henry Roman eight", hibari's own normalisation "He said no." as "He said number"
and "King Charles" as "King the zero Charles". So every English voice gets words alone. The rules
are applied one after the other.
"""

import re

from audio.tts import english_numbers
from audio.tts import english_words as words
from audio.tts.english_numbers import (
    ROMAN,
    Match,
    Replacement,
    Rule,
    any_of,
    is_name,
    stop,
    words_before,
)
from config.languages import HAN

_CHINESE = re.compile(
    rf"((?<![0-9.:/%-])[0-9.:/%-]*+[{HAN}](?:[{HAN}0-9.:/%\u3000-\u303f\uff01-\uff65-]*[{HAN}0-9])?)"
)
_PASSES = 5  # two, but for texts in which words make the next rule's place: "5www.Mr."
_NEXT_NAME = re.compile(r"\s?(?P<name>[A-Z](?:\.|[\w'’]*))")
_MORE_OF_PART_ONE = re.compile(r"[.,;:!?)\"”]|$| (?:of|is|was|begins|began|ends|ended|and|to)\b")
_OF_A_PLACE = re.compile(" of [A-Z]")
_CAPITAL_WORD = re.compile(r"[A-Z][A-Z'’]*")


def spoken_form(text: str) -> str:
    """The text as it is read; Chinese in it, and the numbers beside that, are left alone.

    Ordinary prose comes back unchanged, and so does a text that is in its spoken form. The time is
    linear in the length.
    """
    parts = _CHINESE.split(text)  # every second one is Chinese
    return "".join(part if index % 2 else _in_words(part) for index, part in enumerate(parts))


def _in_words(text: str) -> str:
    for _ in range(_PASSES):
        before = text
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        if text == before:
            break
    return text


def _address(match: Match) -> str:
    """The words of "https://www.example.com/a" (WWW dot example dot com slash a)."""
    address = match["address"].rstrip(".,;:!?-")
    ending = match["address"][len(address) :]
    said = re.sub(r"^www\b", "WWW", address)
    return re.sub(r"[^\w\s]|_", _address_mark, said).rstrip() + ending


def _address_mark(match: Match) -> str:
    mark = words.ADDRESS_MARKS.get(match.group())
    return f" {mark} " if mark else " "


def _symbol(match: Match) -> str:
    said = " ".join(words.SYMBOLS[symbol] for symbol in match.group().replace(" ", ""))
    before = " " if match.start() else ""
    after = match.string[match.end() : match.end() + 1]
    return before + said + ("" if after in ".,;:!?)" else " ")


def _mark(match: Match) -> str:
    """Marks of emphasis are left out; inside a word they are a blank."""
    text, begin, end = match.string, match.start(), match.end()
    is_inside = text[begin - 1 : begin].isalnum() and text[end : end + 1].isalnum()
    return " " if is_inside else ""


def _roman(match: Match) -> str:
    """The words of "Chapter IV" (four) and "Henry VIII" (the eighth); "I" is mostly a person."""
    numeral = match["numeral"]
    title, head = words_before(match)
    following = match.string[match.end() : match.end() + 8]
    if head.capitalize() in words.COUNTED and (is_name(head) or len(numeral) > 1):
        is_person = numeral == "I" and title != "World" and not _MORE_OF_PART_ONE.match(following)
        return numeral if is_person or numeral in "CDLM" else words.cardinal(words.roman(numeral))
    is_ruler = title in words.RULER_TITLES and following[:1] not in {"'", "’"}
    if head in words.RULERS:
        is_ruler |= numeral in "VX" or bool(_OF_A_PLACE.match(following))
    if not is_name(head) or numeral.strip("IVX") or (len(numeral) == 1 and not is_ruler):
        return numeral
    return f"the {words.ordinal(words.roman(numeral))}"


def _title(match: Match) -> str:
    """The words of titles, and of what follows names: "Dr. Lee", "St. Paul", "Main St."."""
    key, is_stopped = match["key"], bool(match["stop"])
    found = _NEXT_NAME.match(match.string, match.end())
    name = found["name"] if found else ""
    is_before_name = is_name(name) or name[1:] == "."
    last = words_before(match)[1]
    is_after_name = is_name(last) or last == "&"
    is_title = key in words.TITLES and (is_before_name or key in words.TITLES_OF_NOBODY_ELSE)
    if is_stopped and key in words.AFTER_NAMES and is_after_name and not is_title:
        return words.AFTER_NAMES[key] + stop(match, before_names=False)
    if not is_stopped and key.capitalize() not in words.TITLES_WITHOUT_STOP:
        return match.group()
    if is_title:
        after = match.string[match.end() : match.end() + 1]
        return words.TITLES[key] + (" " if after.isalpha() else "")
    if key == "Dr" and is_stopped:  # the doctor of somebody, or Dr. Who
        is_noun = not name or last.lower() in words.DETERMINERS
        return "Doctor" + (stop(match) if is_noun else "")
    return match.group()


def _abbreviation(match: Match) -> str:
    key = match.group()
    said = words.LEADING_ABBREVIATIONS.get(key)
    return said or words.ABBREVIATIONS[key] + stop(match)


def _initials(match: Match) -> str:
    """The letters of "J. R. R. Tolkien" as "J.R.R Tolkien", at which no engine pauses."""
    letters = re.findall("[A-Z]", match.group())
    return ".".join(letters) + stop(match, before_names=False)


def _initial(match: Match) -> str:
    """The letter of "George W. Bush" without the stop."""
    last = words_before(match)[1]
    is_initial = is_name(match["name"]) and (not last or is_name(last))
    is_initial &= last not in words.COUNTED  # "Plan B. Tom …"
    return match["letter"] if is_initial else match.group()


def _capitals(match: Match) -> str:
    """Words in capitals, some of which engines spell: in small letters if one is a common word."""
    said = match.group()
    if not any(
        word.lower().replace("’", "'") in words.EMPHASISED for word in _CAPITAL_WORD.findall(said)
    ):
        return said
    return _CAPITAL_WORD.sub(_small, said)


def _small(match: Match) -> str:
    word = match.group()
    if word[0] == "I" and word[1:2] in {"", "'", "’"}:  # I, I'LL
        return f"I{word[1:].lower()}"
    is_verb = word == "AM" and match.string[max(0, match.start() - 2) : match.start()] == "I "
    return word if word in words.INITIALISMS and not is_verb else word.lower()


def _rule(pattern: str, replacement: Replacement) -> Rule:
    return re.compile(pattern, re.VERBOSE), replacement


_CAPITALS = r"[A-Z][A-Z'’]*+(?![\w-]|\.[A-Z])"
_RULES: tuple[Rule, ...] = (
    _rule(r"(?<!\w)(?:https?|ftp)://(?P<address>[^\s<>\"“”]++)", _address),
    _rule(
        r"""(?<![\w.+@/-])(?P<address>www\.[^\s<>"“”]++|[\w.+-]++@[\w-]++(?:\.[\w-]++)+
        |(?:[\w-]++\.)+(?:com|org|net|edu|gov|info)\b(?:/[^\s<>"“”]*+)?)""",
        _address,
    ),
    _rule(r"[*_|•™®©]++", _mark),
    _rule(r"\bAT&T\b", "A.T and T"),
    *english_numbers.RULES,
    _rule(rf"(?<=[A-Za-z]\ )(?P<numeral>{ROMAN})(?:\.(?=,|\ [a-z]))?", _roman),
    _rule(
        rf"(?<![\w.])(?:{any_of([*words.ABBREVIATIONS, *words.LEADING_ABBREVIATIONS])})(?!\w)",
        _abbreviation,
    ),
    _rule(
        rf"""(?<![\w'’])(?P<key>{any_of(words.TITLES | words.AFTER_NAMES)})
        (?P<stop>\.(?![a-z0-9.])|(?![\w.'’]))""",
        _title,
    ),
    _rule(r"(?<![\w.'’])[A-Z]\.(?:(?:[A-Z]\.)+|(?:\ [A-Z]\.)+)(?![\w.])", _initials),
    _rule(r"(?<![\w.'’])(?P<letter>[B-HJ-Z])\.(?=\ (?P<name>[A-Z][a-z]+))", _initial),
    _rule(rf"\ ?[{''.join(words.SYMBOLS)}](?:\ ?[{''.join(words.SYMBOLS)}])*+\ ?", _symbol),
    _rule(r"\#(?=[A-Za-z])", "hashtag "),
    _rule(r"(?<=[A-Za-z])/(?=[A-Za-z])", " "),
    _rule(rf"(?<![\w.'’-]){_CAPITALS}(?:[,;:!?]?\ {_CAPITALS})*", _capitals),
)
