"""English text as hibari's phonemes: its lexica in compact form, and what it would read wrongly.

hibari's own loader makes three dictionaries of 98 MB. Here they stay JSON text of 10 MB, which
hibari's code reads through the same `get`; what is spoken does not change.
"""

import gzip
import json
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

from audio.tts.english import spoken_form
from audio.tts.neural.onnx import open_session
from audio.tts.text import clean_text

BUCKETS = 4096  # of about 25 entries each
LONGEST_UNKNOWN_WORD = 20  # letters; hibari's network for unknown words drops those from 25 on
SHORTEST_NAME_IN_CAPITALS = 5  # letters of an unknown word; a shorter one is an acronym
MOST_DIGITS = 15  # of a number; a longer one is read digit by digit

# Sounds in stories that hibari's lexicon lacks and that it would spell, as phonemes.
INTERJECTIONS = {
    **dict.fromkeys(("sh", "shh"), "ʃʃʃ"),
    "grr": "ɡˈɜɹ",
    "brr": "bˈɜɹ",
    "zz": "zzz",
    "tsk": "tˈɪsk",
    "pff": "pfff",
    "hmph": "hˈʌmf",
}
# Symbols at which hibari is silent.
SYMBOLS = {
    "−": "-",
    "⁄": "/",
    "№": " number ",
    "‰": " per mille ",
    "∞": " infinity ",
    "√": " square root of ",
    "≤": " less than or equal to ",
    "≥": " greater than or equal to ",
    "≠": " not equal to ",
    "≈": " about ",
}
# Emphasis is in capitals too ("it matters to ME"), but these are rather acronyms.
ACRONYMS = frozenset(("AD", "AM", "ID", "IT", "LA", "MA", "PA", "US"))
LATIN_LETTERS = "µªº"  # without LATIN in their names

_JSON_STRING = rb'"(?:[^"\\]|\\.)*"'
_JSON_ENTRY = re.compile(rb"(%b):(?:%b|null|\{[^}]*\})" % (_JSON_STRING, _JSON_STRING))
_CLOSING_QUOTES = re.compile(r"[\"“”„‟«»]+(?=[\s,.;:!?…)\]—]|$)")
_QUOTES = re.compile(r"[\"“”„‟«»]")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])[`´′ʼʻ’](?=[^\W\d_])")
_DASH = re.compile(r"\s*-{2,}\s*|(?<!\d)\s+[-–]\s+|\s+[-–]\s+(?!\d)")
_BROKEN_WORD = re.compile(r"\b([^\W\d_]+)- (?!(?:and|or|nor|to)\b)(?=[a-z])([^\W\d_]+)\b")
_WORD = re.compile(r"[^\W\d_]+")
_DRAWN_OUT = re.compile(r"(?i)(([^\W\d_])\2)\2+")
_ACRONYM = re.compile(r"[IVXLCDM]+|[A-Z]{3}|www")  # also Roman numerals
_CAPITALS = r"(?:[A-Z][A-Z']*[A-Z]|[AI])\b"
_IN_CAPITALS = re.compile(rf"\b{_CAPITALS}(?:[^\w.]+{_CAPITALS})*")
_CAPITAL_WORD = re.compile(r"[A-Z][A-Z']*")
_VOWEL = re.compile(r"[AEIOUY]")
_MANY_DIGITS = re.compile(rf"\d{{{MOST_DIGITS + 1},}}")
# Accents without a letter of their own, variants of emoji, and what joins emoji.
_MARKS = ("COMBINING ", "VARIATION SELECTOR", "ZERO WIDTH ")
_LATIN_NAME = re.compile(r"LATIN (SMALL|CAPITAL) LETTER ([A-Z])(?: WITH .*)?")


class JsonTable:
    """A read-only mapping: a flat JSON object, kept as text in buckets by the hash of the key."""

    def __init__(self, *objects: bytes) -> None:
        """Sort the entries into buckets.

        Args:
            objects: JSON without blanks; values are strings, null, or objects of plain values.
        """
        buckets = [bytearray(b"\n") for _ in range(BUCKETS)]
        for text in objects:
            for entry in _JSON_ENTRY.finditer(text):
                buckets[crc32(entry[1]) % BUCKETS] += entry[0] + b"\n"
        self._buckets = tuple(map(bytes, buckets))

    def get(self, key: str) -> Any:
        """The value of a key, or None."""
        name = json.dumps(key, ensure_ascii=False).encode(errors="replace")
        bucket = self._buckets[crc32(name) % BUCKETS]
        begin = bucket.find(b"\n" + name + b":")
        if begin < 0:
            return None
        begin += len(name) + 2
        return json.loads(bucket[begin : bucket.index(b"\n", begin)])


class Reading:
    """hibari's grapheme-to-phoneme conversion, with its networks and lexica loaded."""

    def __init__(self, *, british: bool) -> None:
        self._g2p = _open_g2p(british=british)
        self.tokens = lru_cache(maxsize=4)(self._tokens)  # a piece is asked for several times

    def phonemes(self, text: str) -> str:
        """The phonemes of a piece of text, as hibari's G2P joins them."""
        parts = (
            f"{token.phonemes or ''}{' ' * bool(token.whitespace)}" for token in self.tokens(text)
        )
        return "".join(parts).strip()

    def is_complete(self, text: str) -> bool:
        """False if a word or number of the text would be silent."""
        return all(
            any(map(str.isalpha, token.phonemes or ""))
            for token in self.tokens(text)
            if any(map(str.isalnum, token.text))
        )

    def _tokens(self, text: str) -> list[Any]:
        return list(self._g2p.phonemize_tokens(self._g2p.tokenize(self.prepare(spoken_form(text)))))

    def prepare(self, text: str) -> str:
        """Write the text so that hibari reads it rightly."""
        text = "".join(map(fold, unicodedata.normalize("NFC", clean_text(text))))
        # hibari reads "a" behind an opening quote as a letter, and "a--b" as one word; of
        # "[words](more)" it would drop a part.
        text = _QUOTES.sub(" ", _CLOSING_QUOTES.sub("", text)).replace("](", "] (")
        text = _APOSTROPHE.sub("'", text).replace("`", "'")
        text = _DASH.sub(" — ", text)
        text = _BROKEN_WORD.sub(self._join, text)
        text = _WORD.sub(self._shorten, text)
        text = _IN_CAPITALS.sub(self._lower, text)
        text = _MANY_DIGITS.sub(lambda digits: " ".join(digits[0]), text)
        return " ".join(text.split())

    def _knows(self, word: str) -> bool:
        lexicon = self._g2p.lexicon
        return word in lexicon.golds or word in lexicon.silvers

    def _join(self, halves: re.Match[str]) -> str:
        """A word that was broken at the end of a line."""
        whole = halves[1] + halves[2]
        return whole if self._knows(whole.lower()) else f"{halves[1]}-{halves[2]}"

    def _shorten(self, match: re.Match[str]) -> str:
        """A word without drawn-out letters ("sooo"), cut up if it is too long to be read."""
        word = match[0]
        if not _ACRONYM.fullmatch(word):
            double, single = (_DRAWN_OUT.sub(group, word) for group in (r"\1", r"\2"))
            is_single = self._knows(single.lower()) and not self._knows(double.lower())
            word = single if is_single else double
        if len(word) <= LONGEST_UNKNOWN_WORD or self._knows(word.lower()):
            return word
        return re.sub(rf"\w{{{LONGEST_UNKNOWN_WORD}}}(?=\w)", r"\g<0> ", word)

    def _lower(self, match: re.Match[str]) -> str:
        """Words in capitals that are no acronyms, in small letters; hibari spells many of them."""
        words = _CAPITAL_WORD.findall(match[0])
        alone = sum(len(word) > 1 for word in words) < 2

        def lower(found: re.Match[str]) -> str:
            word = found[0]
            if word == "I" or (alone and (len(word) == 1 or word in ACRONYMS)):
                return word
            small = word.lower()
            is_name = len(word) >= SHORTEST_NAME_IN_CAPITALS and _VOWEL.search(word)
            return small if self._knows(small) or (is_name and not self._knows(word)) else word

        return _CAPITAL_WORD.sub(lower, match[0])


@lru_cache(maxsize=4096)
def fold(character: str) -> str:
    """A character as hibari knows it: symbols as words, rare Latin letters without accents."""
    if character.isascii():
        return character
    if character in SYMBOLS:
        return SYMBOLS[character]
    category, name = unicodedata.category(character), unicodedata.name(character, "")
    if name.startswith(_MARKS):
        return ""
    if not unicodedata.decomposition(character).startswith(("<super>", "<sub>", "<fraction>")):
        plain = unicodedata.normalize("NFKC", character)
        if re.fullmatch(r"[A-Za-z0-9°()./]+", plain):
            return plain  # a ligature, a mathematical letter, a unit, a numeral, of full width
    if category[0] == "L" and character > "\u00ff":
        found = _LATIN_NAME.fullmatch(name)
        if found and character not in _known_letters():
            return found[2].lower() if found[1] == "SMALL" else found[2]
    return character


@lru_cache(maxsize=4096)
def is_foreign(character: str) -> bool:
    """True for a letter that hibari has no reading for: of another script than the Latin one."""
    character = fold(character)
    if character.isascii() or character in LATIN_LETTERS:
        return False
    if unicodedata.category(character[0])[0] not in "LM":
        return False
    is_latin = unicodedata.name(character[0], "").startswith("LATIN ")
    return not (is_latin and character in _known_letters())


@lru_cache(maxsize=1)
def _known_letters() -> frozenset[str]:
    """The letters that hibari's networks for unknown words know."""
    american, british = (json.loads(_read(name))["in"] for name in ("oov.json", "oov_gb.json"))
    return frozenset(american) & frozenset(british)


def _open_g2p(*, british: bool) -> Any:
    """The G2P of hibari, without its constructor, which would load the plain dictionaries."""
    from hibari.g2p import G2P
    from hibari.g2p.lexicon import Lexicon
    from hibari.g2p.oov import OOV
    from hibari.g2p.tagger import Tagger
    from hibari.g2p.tokenize import Tokenizer

    accent = "gb" if british else "us"
    head, weights = _read("tagger.json.gz").split(b',"weights":')
    g2p = G2P.__new__(G2P)
    g2p.tagger = Tagger({**json.loads(head + b"}"), "weights": JsonTable(weights)})
    more = json.dumps(INTERJECTIONS, ensure_ascii=False, separators=(",", ":")).encode()
    gold = JsonTable(_read(f"lexicon_{accent}_gold.json.gz"), more)
    g2p.lexicon = Lexicon(gold, JsonTable(_read(f"lexicon_{accent}_silver.json.gz")), british)
    g2p.tokenizer = Tokenizer(json.loads(_read("tokenizer_exceptions.json")))
    network = _assets() / ("oov_gb.onnx" if british else "oov.onnx")
    g2p._oov = OOV(str(network), open_session(network))
    g2p.unk, g2p.british = "", british
    return g2p


def _assets() -> Path:
    from hibari.tts import ASSETS

    return Path(ASSETS)


def _read(name: str) -> bytes:
    data = (_assets() / name).read_bytes()
    return gzip.decompress(data) if name.endswith(".gz") else data
