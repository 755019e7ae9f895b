"""English number words, and tables of what is written shorter than it is read.

The number words are own ones because those of hibari (hibari/g2p/numbers.py; the tests compare
them) bring numpy and 25 MB into espeak-ng's worker of 19 MB, and may not be installed; num2words
is LGPL and needs docopt, a source package, for as much as the functions here.
"""

import re
import unicodedata


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ONES = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = _words("_ ten twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = ("", " thousand", " million", " billion", " trillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_LAST_WORD = re.compile(r"[a-z]+$")
_LONGEST_CARDINAL = 15  # digits; longer numbers are read digit by digit


def cardinal(number: str) -> str:
    """The words of "1,250", "3.14", "2.0.1" or "007"; every digit of fractions and codes."""
    whole, *fractions = number.replace(",", "").split(".")
    return " point ".join([_whole(whole), *map(digits, fractions)]).lstrip()


def digits(number: str) -> str:
    """The digits one by one: "007" is "zero zero seven"."""
    return " ".join(_ONES[int(digit)] for digit in number)


def ordinal(number: str) -> str:
    """The words of a rank: "21" is "twenty-first"."""
    return _LAST_WORD.sub(_ordinal_word, cardinal(number))


def year(number: str) -> str:
    """The words of a year of four digits: "1905" is "nineteen oh five"."""
    century, rest = number[:2], number[2:]
    if century[1] == "0" and rest[0] == "0":  # 1000 to 1009, 2000 to 2009
        return cardinal(number)
    return f"{cardinal(century)} {two_digits(rest) if rest != '00' else 'hundred'}"


def two_digits(number: str) -> str:
    """The last two digits of a year, or minutes: "05" is "oh five"."""
    return f"oh {_ONES[int(number)]}" if number[0] == "0" else cardinal(number)


def plural(words: str) -> str:
    """Several of them: "nineties" for "ninety", "hundreds", "sixes"."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return words + ("es" if words.endswith("x") else "s")


def roman(numeral: str) -> str:
    """The digits of a Roman numeral: "XIV" is "14"."""
    values = [_ROMAN[letter] for letter in numeral]
    following = [*values[1:], 0]
    return str(sum(-v if v < after else v for v, after in zip(values, following, strict=True)))


def _whole(number: str) -> str:
    if not number:
        return ""
    if len(number) > _LONGEST_CARDINAL or (number[0] == "0" and len(number) > 1):
        return digits(number)
    groups = f"{int(number):,}".split(",")
    scales = _SCALES[len(groups) - 1 :: -1]
    words = [
        _below_thousand(int(group)) + scale
        for group, scale in zip(groups, scales, strict=True)
        if int(group)
    ]
    return " ".join(words) or "zero"


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [f"{_ONES[hundreds]} hundred"] if hundreds else []
    if rest >= len(_ONES):
        words.append(_TENS[rest // 10] + (f"-{_ONES[rest % 10]}" if rest % 10 else ""))
    elif rest:
        words.append(_ONES[rest])
    return " ".join(words)


def _ordinal_word(match: re.Match[str]) -> str:
    word = match.group()
    return _ORDINALS.get(word) or (f"{word[:-1]}ieth" if word.endswith("y") else f"{word}th")


_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _table(lines: str) -> dict[str, str]:
    """A table whose lines are "key = value"; several keys are apart by blanks."""
    pairs = (line.split(" = ") for line in lines.strip().splitlines())
    return {key: value for keys, value in pairs for key in keys.split()}


MONTHS = _words(
    "January February March April May June July August September October November December"
)

# Before a name; the first ones also without a full stop. "Miz" is how Ms is said.
TITLES = _table("""
Mr MR = Mister
Mrs MRS = Missus
Ms = Miz
Messrs = Messers
Dr DR = Doctor
St ST = Saint
Mt = Mount
Prof = Professor
Capt = Captain
Lt = Lieutenant
Sgt = Sergeant
Mme = Madame
Mlle = Mademoiselle
Ft = Fort
Col = Colonel
Gen = General
Maj = Major
Cpl = Corporal
Cmdr = Commander
Adm = Admiral
Rev = Reverend
Hon = Honorable
Gov = Governor
Sen = Senator
Rep = Representative
Pres = President
Fr = Father
Supt = Superintendent
""")
TITLES_WITHOUT_STOP = _set("Mr Mrs Ms Messrs Dr St Mt Prof Capt Lt Sgt Mme Mlle")
TITLES_OF_NOBODY_ELSE = _set("Mr MR Mrs MRS Messrs")  # also in "Mr. and Mrs. Fox"

# After a name, with a full stop.
AFTER_NAMES = _table("""
Jr = Junior
Sr = Senior
Esq = Esquire
Inc = Incorporated
Ltd = Limited
Corp = Corporation
Co = Company
Bros = Brothers
Univ = University
St = Street
Dr = Drive
Ave = Avenue
Rd = Road
Blvd = Boulevard
Ln = Lane
Hwy = Highway
Sq = Square
""")

# Anywhere, as written here; the full stop may also end the sentence.
ABBREVIATIONS = _table("""
etc. etc = et cetera
dept. = department
Dept. = Department
govt. = government
Govt. = Government
a.m. a.m A.M. A.M = AM
p.m. p.m P.M. P.M = PM
A.D. = AD
B.C. = BC
Ph.D. Ph.D = P.H.D
a.k.a. = also known as
Tue. Tues. = Tuesday
Thu. Thur. Thurs. = Thursday
""")
# Anywhere; what they stand for leads on.
LEADING_ABBREVIATIONS = _table("""
e.g. = for example
E.g. = For example
i.e. = that is
I.e. = That is
vs. vs = versus
viz. = namely
cf. = compare
approx. = approximately
w/o = without
w/ = with
""")

# Before a number, Arabic or Roman.
BEFORE_NUMBERS = _table("""
No. no. = number
Nos. nos. = numbers
p. = page
pp. = pages
Fig. fig. = figure
Figs. figs. = figures
Vol. vol. = volume
Vols. vols. = volumes
Ch. ch. Chap. chap. = chapter
Sec. = section
Art. = article
Pt. = part
Op. = opus
c. ca. = circa
""")

BEFORE_NO = _set("said say says saying answered replied is was be a meant")  # "No!"
# After them four digits are a year.
BEFORE_YEARS = _set(
    """
    after and before between by circa during early from in late mid since spring summer autumn fall
    winter till to until year years of
    """
)
DETERMINERS = _set("a an her his my our that the their this your")

# Words before a Roman numeral that counts; other names before one are of rulers.
COUNTED = _set(
    """
    Act Apollo Appendix Article Book Bowl Canto Chapter Class Division Edition Element Episode
    Fantasy Figure Form Game Gemini Grade Group Lesson Level Mark Number Part Phase Plan Plate Psalm
    Rocky Round Saturn Scene Season Section Series Sonata Stage Symphony Table Tier Title Type
    Vatican Verse Vitamin Volume War Wars Windows
    """
)
RULER_TITLES = _set("King Queen Pope Emperor Empress Tsar Czar Kaiser Sultan")
RULERS = _set(  # also with I, V or X; "Malcolm X" is none
    """
    Alexander Alfonso Catherine Charles Christian Edward Elizabeth Ferdinand Francis Frederick
    George Gustav Henry Ivan James John Leo Louis Mary Napoleon Nicholas Peter Philip Pius Ptolemy
    Ramses Richard William
    """
)

# Singular and plural, and those of its hundredth.
CURRENCIES = {
    sign: tuple(words.split(", "))
    for sign, words in _table("""
$ USD = dollar, dollars, cent, cents
£ GBP = pound, pounds, penny, pence
€ EUR = euro, euros, cent, cents
¥ JPY = yen, yen, sen, sen
₹ INR = rupee, rupees, paisa, paise
¢ = cent, cents
p = penny, pence
""").items()
}
COUNTRIES = _table("""
US = U.S
A AU = Australian
C CA = Canadian
NZ = New Zealand
HK = Hong Kong
""")
MAGNITUDES = _table("""
k K thousand = thousand
m M mn million = million
b B bn billion = billion
tn trillion = trillion
hundred = hundred
""")

# After a number: singular and plural.
UNITS = {
    unit: tuple(words.split(", "))
    for unit, words in _table("""
km = kilometer, kilometers
m = meter, meters
cm = centimeter, centimeters
mm = millimeter, millimeters
km² = square kilometer, square kilometers
m² = square meter, square meters
m³ = cubic meter, cubic meters
cm³ cc = cubic centimeter, cubic centimeters
kg = kilogram, kilograms
g = gram, grams
mg = milligram, milligrams
µg μg = microgram, micrograms
µm μm = micrometer, micrometers
lb lbs = pound, pounds
oz = ounce, ounces
ft = foot, feet
in. = inch, inches
yd yds = yard, yards
mi = mile, miles
mph = mile per hour, miles per hour
kph km/h = kilometer per hour, kilometers per hour
m/s = meter per second, meters per second
ml = milliliter, milliliters
cl = centiliter, centiliters
hr hrs = hour, hours
min mins = minute, minutes
sec secs = second, seconds
ms = millisecond, milliseconds
Hz = hertz, hertz
kHz = kilohertz, kilohertz
MHz = megahertz, megahertz
GHz = gigahertz, gigahertz
kB KB = kilobyte, kilobytes
MB = megabyte, megabytes
GB = gigabyte, gigabytes
TB = terabyte, terabytes
kW = kilowatt, kilowatts
kWh = kilowatt hour, kilowatt hours
°C ℃ = degree Celsius, degrees Celsius
°F ℉ = degree Fahrenheit, degrees Fahrenheit
° = degree, degrees
% = percent, percent
‰ = per mille, per mille
x = times, times
""").items()
}

FRACTIONS = {
    number: tuple(words.split(", "))
    for number, words in _table("""
2 = half, halves
3 = third, thirds
4 = quarter, quarters
5 = fifth, fifths
6 = sixth, sixths
7 = seventh, sevenths
8 = eighth, eighths
9 = ninth, ninths
10 = tenth, tenths
12 = twelfth, twelfths
16 = sixteenth, sixteenths
20 = twentieth, twentieths
32 = thirty-second, thirty-seconds
100 = hundredth, hundredths
1000 = thousandth, thousandths
""").items()
}

FRACTION_CHARACTERS = {
    character: tuple(unicodedata.normalize("NFKC", character).split("⁄"))
    for character in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
}

SYMBOLS = {
    "&": "and",
    "@": "at",
    "=": "equals",
    "+": "plus",
    "×": "times",
    "÷": "divided by",
    "±": "plus or minus",
    "²": "squared",
    "³": "cubed",
    "§": "section",
    "→": "to",
}
ADDRESS_MARKS = SYMBOLS | {
    ".": "dot",
    "/": "slash",
    ":": "colon",
    "-": "dash",
    "_": "underscore",
    "?": "question mark",
    "#": "hash",
    "%": "percent",
    "~": "tilde",
}

# Words that are no names, but begin sentences.
SENTENCE_OPENERS = _set(
    """
    a after all although an and another are as at be because before but by can could did do does
    each even every everyone everything few finally first for from had has have he her here hers him
    his how however i if in inside instead into is it its just later like many maybe more most much
    must my never next no nobody none not nothing now of off often on once one only or other our out
    over perhaps please she should since so some somebody someone something sometimes soon still
    such suddenly that the their them then there these they this those though through thus to
    together too two under until up upon very was we were what whatever when whenever where
    wherever whether which while who whose why will with without would yes yet you your yours
    """
)
# They are no initialisms when they are in capitals.
EMPHASISED = SENTENCE_OPENERS - _set("a an as at i in it or who") | _set(
    """
    can't don't it's i'll i'm i've that's what's who's won't you're
    asked came got liked looked said saw shall thee thou thy wanted went
    """
)
# They stay as they are between other words in capitals.
INITIALISMS = _set("AD AI AM BBC BC CIA EU FBI IBM ID NASA OK PC PM TV UFO UK UN US USA VIP")
