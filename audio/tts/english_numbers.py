"""Rules that write English numbers out: dates, times, money, quantities, fractions, years.

Each rule is a pattern and the words for its match. A pattern begins only where a run of its
characters begins, and its repetitions are possessive, so that each takes linear time.
"""

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

from audio.tts import english_words as words
from audio.tts.english_words import cardinal, ordinal, two_digits, year

Match: TypeAlias = re.Match[str]
Replacement: TypeAlias = str | Callable[[Match], str]
Rule: TypeAlias = tuple[re.Pattern[str], Replacement]


def any_of(keys: Iterable[str]) -> str:
    """A pattern of any of the keys, the longest first."""
    return "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))


_CLOSED = r"[\"'”’)\]]*+"
_NEXT_SENTENCE = re.compile(rf"{_CLOSED}(?:\s*+$|\s++[\"'“‘(\[]*+(?P<word>[A-Z][\w'’]*))")
_WORDS_BEFORE = re.compile(r"(?:(?P<second>[\w'’]+) )?(?P<last>[\w'’]+|&),? $")
_LOOK_BACK = 40  # characters in which the two words before are looked for


def words_before(match: Match) -> tuple[str, str]:
    """The two words before the match; empty where there is something else."""
    begin = match.start()
    found = _WORDS_BEFORE.search(match.string[max(0, begin - _LOOK_BACK) : begin])
    return (found["second"] or "", found["last"]) if found else ("", "")


def is_name(word: str) -> bool:
    """True for a capitalised word that is not only so because a sentence begins with it."""
    return word[:1].isupper() and word.lower() not in words.SENTENCE_OPENERS


def stop(match: Match, *, before_names: bool = True) -> str:
    """The full stop of an abbreviation if it also ends a sentence, else nothing.

    Where a name may follow inside the sentence (`before_names` is False), only a word that is no
    name tells that another sentence begins.
    """
    following = _NEXT_SENTENCE.match(match.string, match.end())
    if not match.group().endswith(".") or not following:
        return ""
    word = following["word"]
    return "." if word is None or before_names or not is_name(word) else ""


_INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})++(?![0-9])|[0-9]++)"
_NUMBER = rf"(?:{_INTEGER}(?:\.[0-9]++)?|\.[0-9]++)"
_ALONE = r"(?<![\w.,:/])"  # before a number that is no part of a longer one
_ARTICLE = r"(?:(?<!\w)(?P<article>[Aa]n?)\ )?"  # "a $5 note", "a 3 km walk": the singular
_SHORT_MONTHS = any_of(["Sept", *(name[:3] for name in words.MONTHS if name != "May")])
_MONTH = rf"(?P<month>(?:{any_of(words.MONTHS)})\b|(?:{_SHORT_MONTHS})\b\.?)"
_SIGN = any_of(["$", "£", "€", "¥", "₹"])
_CODE = any_of(["USD", "EUR", "GBP", "JPY", "INR"])
_YEAR = r"(?P<year>[0-9]{4})(?![\w%]|[.,][0-9])"
ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?!\w)"
_MAGNITUDE = rf"(?:\s?(?P<magnitude>{any_of(words.MAGNITUDES)})(?!\w))?"
_PER = r"(?P<per>/(?=[A-Za-z]))?"
_SEVERAL = re.compile(r" (?!(?:a|ha|wa|i|doe|hi|thi|it|u|alway|perhap)s\b)[a-z]+s\b")


def _month(match: Match) -> str:
    return next(name for name in words.MONTHS if name.startswith(match["month"][:3]))


def _day(match: Match) -> str:
    """The rank of a day, or nothing where there is no such day."""
    return ordinal(match["day"]) if 1 <= int(match["day"]) <= 31 else ""


def _year_after(match: Match) -> str:
    return f", {year(match['year'])}" if match["year"] else ""


def _month_day(match: Match) -> str:
    day = _day(match)
    return f"{_month(match)} {day}{_year_after(match)}" if day else match.group()


def _day_month(match: Match) -> str:
    day = _day(match)
    if not day:
        return match.group()
    return f"{match['the'] or 'the '}{day} of {_month(match)}{_year_after(match)}{stop(match)}"


def _month_year(match: Match) -> str:
    return f"{_month(match)} {year(match['year'])}"


def _numeric_date(match: Match) -> str:
    """The words of "2024-11-05", "11/5/2024", "25/12/2024".

    The month is first, as in the USA, unless it can only be the day.
    """
    number, month, day = match["year"], int(match["month"]), int(match["day"])
    if month > 12:
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match.group()
    said = year(number) if len(number) == 4 else two_digits(number)
    return f"{words.MONTHS[month - 1]} {ordinal(str(day))}, {said}"


def _time(match: Match) -> str:
    """The words of "7:30 pm" (seven thirty PM), "19:00" (nineteen hundred), "2:1" (two to one)."""
    hour, minute, half = int(match["hour"]), match["minute"], match["half"]
    said = cardinal(str(hour))
    if hour > 24 or not (half or match["mark"] == ":"):
        return match.group()
    if minute and len(minute) == 1:
        return f"{said} to {cardinal(minute)}"
    if minute and minute != "00":
        said += f" {two_digits(minute)}"
    elif minute and not half:
        said += " o'clock" if 1 <= hour <= 12 else " hundred"
    if match["second"]:
        said += f" and {cardinal(str(int(match['second'])))} seconds"
    return f"{said} {half.upper()}M{stop(match)}" if half else said


def _money(match: Match) -> str:
    """The words of "$1,250.75", "£1", "€1.2m", "5 USD", "a $5 note", "$3/day"."""
    amount, country = match["amount"], match["country"]
    one, several, *hundredth = words.CURRENCIES[match["sign"]]
    if match["article"]:
        several, hundredth = one, hundredth[:1] * 2
    if country:
        one, several = (f"{words.COUNTRIES[country]} {name}" for name in (one, several))
    whole, _, fraction = amount.partition(".")
    if match["magnitude"]:
        said = f"{cardinal(amount)} {words.MAGNITUDES[match['magnitude']]} {several}"
    elif hundredth and len(fraction) == 2:
        parts = [_several(whole or "0", one, several), _several(fraction.lstrip("0"), *hundredth)]
        said = " and ".join(part for part in parts if not part.startswith("zero")) or parts[0]
    else:
        said = _several(amount, one, several)
    return f"{_article(match)}{said}{' per ' if match['per'] else ''}"


def _several(amount: str, one: str, several: str) -> str:
    return f"{cardinal(amount or '0')} {one if amount == '1' else several}"


def _article(match: Match) -> str:
    return f"{match['article']} " if match["article"] else ""


def _quantity(match: Match) -> str:
    """The words of "5 km", "1 ft.", "60km/h", "a 5-km walk" (a five-kilometer walk)."""
    one, several = words.UNITS[match["unit"]]
    is_one = match["article"] or match["gap"] == "-" or match["amount"] == "1"
    said = f"{cardinal(match['amount'])}{match['gap'] or ' '}{one if is_one else several}"
    return f"{_article(match)}{said}{' per ' if match['per'] else stop(match)}"


def _height(match: Match) -> str:
    return f"{cardinal(match['feet'])} foot {cardinal(match['inches'])}"


def _fraction(match: Match) -> str:
    """The words of "3/4", "2 1/2" (two and a half) and "24/7" (twenty-four seven)."""
    whole, above, below = match["whole"], match["above"], match["below"]
    if below not in words.FRACTIONS or not 0 < int(above) < int(below):
        return " ".join(part for part in (whole, above, below) if part)
    one, several = words.FRACTIONS[below]
    count = cardinal(above) if int(above) > 1 or not whole else "a"
    said = f"{count} {several if int(above) > 1 else one}"
    return f"{cardinal(whole)} and {said}" if whole else said


def _written_fraction(match: Match) -> str:
    """The fraction of "½" as "1/2", of "2½" as "2 1/2"."""
    above, below = words.FRACTION_CHARACTERS[match["fraction"]]
    return f"{match['whole'] + ' ' if match['whole'] else ''}{above}/{below}"


def _before_number(match: Match) -> str:
    key = match.group(1)
    is_word = key == "no." and words_before(match)[1].lower() in words.BEFORE_NO
    return match.group() if is_word else f"{words.BEFORE_NUMBERS[key]} "


def _range(match: Match) -> str:
    """The words of "1914-18" (nineteen fourteen to eighteen); "10-12" becomes "10 to 12"."""
    first, last = match["first"], match["last"]
    if re.fullmatch("[0-9]{4} [0-9]{2}", f"{first} {last}"):
        return f"{year(first)} to {two_digits(last)}"
    return match.group() if first == last else f"{first} to {last}"


def _phone(match: Match) -> str:
    return ", ".join(words.digits(group) for group in re.findall("[0-9]+", match.group()))


def _number(match: Match) -> str:
    """The words of any number, with blanks where letters touch it."""
    text, begin, end = match.string, match.start(), match.end()
    before = " " if text[begin - 1 : begin].isalpha() else ""
    after = " " if text[end : end + 1].isalpha() else ""
    if match["several"]:
        said = words.plural(_year_or_cardinal(match, match["several"]))
    elif match["rank"]:
        said = ordinal(match["rank"])
    elif match["short"]:
        said = two_digits(match["short"])
    else:
        said = _year_or_cardinal(match, match["number"])
    return before + said + (", " if match["comma"] else after)


def _year_or_cardinal(match: Match, number: str) -> str:
    """Four digits are a year, unless several of something follow: "1250 birds"."""
    if not re.fullmatch("(?:1[0-9]|20)[0-9]{2}", number):
        return cardinal(number)
    before = words_before(match)[1]
    if match["several"] or before.lower() in words.BEFORE_YEARS or before in words.MONTHS:
        return year(number)
    is_count = number < "1100" or _SEVERAL.match(match.string, match.end())
    return cardinal(number) if is_count else year(number)


def _rule(pattern: str, replacement: Replacement) -> Rule:
    return re.compile(pattern, re.VERBOSE), replacement


RULES: tuple[Rule, ...] = (
    _rule(
        rf"""(?:(?<![\w.,/])(?P<whole>[0-9]{{1,3}})\ ?)?
        (?P<fraction>{any_of(words.FRACTION_CHARACTERS)})""",
        _written_fraction,
    ),
    _rule(  # 2024-11-05
        r"(?<![\w/-])(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})(?![\w/-])",
        _numeric_date,
    ),
    _rule(  # a telephone number
        r"""(?<![\w.,-])(?:(?:\+?[0-9]{1,3}[\ -])?(?:\([0-9]{3}\)\ ?|[0-9]{3}[-.\ ])
        [0-9]{3}[-.\ ][0-9]{4}|[0-9]{3}-[0-9]{4})(?![\w-])""",
        _phone,
    ),
    _rule(  # a range of times
        r"""(?<![\w:.,-])(?P<first>[0-9]{1,2}(?::[0-9]{2})?(?:\ ?[ap]\.?m\.?)?)\ ?[-–]\ ?
        (?P<last>[0-9]{1,2}(?::[0-9]{2}|\ ?[ap]\.?m\b))""",
        _range,
    ),
    _rule(  # a range of money
        rf"""(?<!\w)(?P<first>(?P<sign>{_SIGN}){_NUMBER})(?:[-–]|\ [-–]\ )
        (?P<last>(?P=sign)?{_NUMBER})""",
        _range,
    ),
    _rule(r"(?<=[0-9])\ [-−]\ (?=[0-9.,]++\ ?=)", " minus "),
    _rule(
        rf"""(?<![\w.,:/-])(?P<first>{_NUMBER})(?:[-–—]|\ [–—]\ )(?P<last>{_NUMBER})
        (?!-[0-9]|[.,:/][0-9])""",
        _range,
    ),
    _rule(rf"(?<![\w)\].-])[-−](?=(?:{_SIGN})?\.?[0-9])", "minus "),
    _rule(  # 11/5/2024
        r"""(?<![\w/])(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/
        (?P<year>[0-9]{4}|[0-9]{2})(?![\w/])""",
        _numeric_date,
    ),
    _rule(
        rf"""\b{_MONTH}\ (?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?![\w:%]|[.,][0-9])
        (?:,?\ {_YEAR})?""",
        _month_day,
    ),
    _rule(
        rf"""(?P<the>\b[Tt]he\ )?{_ALONE}(?P<day>[0-9]{{1,2}})(?:st|nd|rd|th)?(?:\ of)?\ {_MONTH}
        (?:,?\ {_YEAR})?""",
        _day_month,
    ),
    _rule(rf"\b{_MONTH},?\ {_YEAR}", _month_year),
    _rule(
        rf"""{_ALONE}(?P<hour>[0-9]{{1,2}})(?:(?P<mark>[:.])(?P<minute>[0-9]{{1,2}})
        (?::(?P<second>[0-5][0-9]))?)?(?:\ ?(?P<half>[ap])\.?m\b\.?)?(?![0-9:])""",
        _time,
    ),
    _rule(
        rf"""{_ARTICLE}(?<![\w.,])(?P<country>{any_of(words.COUNTRIES)})?
        (?P<sign>{_SIGN}|(?:{_CODE})(?=\ [0-9]))\ ?(?P<amount>{_NUMBER}){_MAGNITUDE}(?!\w){_PER}""",
        _money,
    ),
    _rule(
        rf"""{_ARTICLE}{_ALONE}(?P<country>)(?P<amount>{_NUMBER}){_MAGNITUDE}
        \ ?(?P<sign>{_SIGN}|¢|{_CODE}|(?<=[0-9])p)(?!\w){_PER}""",
        _money,
    ),
    _rule(
        r"""(?<![\w.,])(?P<feet>[0-9])['’′]\ ?(?P<inches>1?[0-9])(?:["”″]|''|’’|(?![\w'’]))""",
        _height,
    ),
    _rule(
        rf"""{_ARTICLE}{_ALONE}(?P<amount>{_NUMBER})(?P<gap>[\ -])?(?P<unit>{any_of(words.UNITS)})
        (?![\w²³]){_PER}\.?""",
        _quantity,
    ),
    _rule(r"(?<=[0-9])[x×](?=[0-9])", " by "),
    _rule(r"(?<=[0-9])\ [x×]\ (?=[0-9])", " times "),
    _rule(
        r"""(?<![\w.,/])(?:(?P<whole>[0-9]{1,3})[\ -])?(?P<above>[0-9]{1,3})[/⁄]
        (?P<below>[0-9]{1,4})(?![\w/])""",
        _fraction,
    ),
    _rule(
        rf"(?<![\w.])({any_of(words.BEFORE_NUMBERS)})\ ?(?=[0-9]|(?![A-Z]\b){ROMAN})",
        _before_number,
    ),
    _rule(r"(?<=[0-9])/(?=[A-Za-z])", " per "),
    _rule(r"\#\ ?(?=[0-9])", "number "),
    _rule(
        rf"""(?:(?<!\w)['’])?(?P<several>[0-9]++(?=s)|[0-9]++(?<=0)(?=['’]s))['’]?s(?!\w)
        |(?P<rank>{_INTEGER})(?:st|nd|rd|th|ST|ND|RD|TH)(?!\w)
        |(?<!\w)['’](?P<short>[0-9]{{2}})(?![\w'’]|[.,:][0-9])
        |(?P<number>(?<![A-Z])(?:{_INTEGER}(?:\.[0-9]++)*+|(?<!\w)\.[0-9]++)|(?<=[B-Z])[0-9]++)
        (?P<comma>,(?=[0-9]))?""",
        _number,
    ),
)
