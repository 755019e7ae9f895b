"""Text files: their bytes, encoding, line ends, and hard-wrapped lines."""

import codecs
import contextlib
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from config.errors import InputError
from config.languages import HAN

# UTF-32 first: its mark for little-endian begins with that of UTF-16.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "UTF-8"),
    (codecs.BOM_UTF32_LE, "UTF-32LE"),
    (codecs.BOM_UTF32_BE, "UTF-32BE"),
    (codecs.BOM_UTF16_LE, "UTF-16LE"),
    (codecs.BOM_UTF16_BE, "UTF-16BE"),
)
# As browsers read these labels (https://encoding.spec.whatwg.org): supersets, by Python's names.
_SUPERSETS = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030"}
_SEVEN_BIT = ("iso2022", "hz", "utf-7")  # which are valid UTF-8 as well
_COMMON_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过"
    "發這個們來為國說時會對過無見風山水月花春天日雲江白何不知歸心秋夜處長相空清如此"
    "发无见风云归处长，。、？！：；「」“”　"
)
_COMMON_WESTERN = frozenset(
    "àâäáãåæçèéêëìíîïñòóôöõøœùúûüßÀÂÄÁÅÇÈÉÊËÍÎÓÔÖØÚÜ“”‘’„–—…«»£§°€·•¿¡½¼©\xa0"
)
_MIN_CHINESE_SHARE = 0.1  # of such characters among others than ASCII; about 0.3 in real texts
_MIN_WESTERN_SHARE = 0.5
_MIN_UTF16_SHARE = 0.2  # of such characters and ASCII among all
_MAX_CONTROL_SHARE = 0.05  # of the bytes of a text
_WHOLE_FOR_DAMAGED = 10  # whole characters in UTF-8 for each damaged one
_BYTES_FOR_DAMAGED = 1_000  # bytes of ASCII for each damaged one
_MIN_BYTES_FOR_GUESS = 32
_SAMPLE_BYTES = 200_000  # that an encoding is guessed from

_CONTROL_BYTES = bytes(n for n in (*range(32), 127) if n not in b"\t\n\v\f\r\x1b")
_CONTROLS = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f]")
_INVISIBLE = str.maketrans("", "", "\u00ad\u200b\u2060\ufeff")  # soft hyphens part words in e-books
_LINE_ENDS = ("\r\r\n", "\r\n", "\r", "\x85", "\u2028", "\v", "\f")
_BEYOND_ASCII = re.compile("[^\t\n\v\f\r -~]")
_BETWEEN_HAN = re.compile(rf"(?<=[{HAN}，。！？；：、”」』]) (?=[{HAN}“「『])")
_WRAPPED_LINE_CHARACTERS = range(45, 100)  # median line length of hard-wrapped text


@dataclass(frozen=True)
class Text:
    """A text, and what is worth telling about how it was read; empty if nothing is."""

    text: str
    note: str = ""


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        InputError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"The text file {path} is missing.") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} cannot be read: it is a folder; name the files in it.") from error
    except OSError as error:
        raise InputError(f"The text file {path} cannot be read: {error.strerror}.") from error


def decode(data: bytes, path: Path, declared: str | None = None) -> Text:
    r"""Bytes as text with `\n` for line ends and without control characters.

    Tried in this order: a byte order mark, the declared encoding, UTF-16, UTF-8, UTF-8 with a few
    damaged bytes (left out), GB18030 and Big5, Windows-1252 and Mac Roman.

    Raises:
        InputError: the bytes are no text, or in none of these encodings; it names `path`.
    """
    found = _decode(data, declared)
    if found is None:
        raise InputError(f"{path} {_reason(data)}")
    return Text(clean(found.text), found.note)


def clean(text: str) -> str:
    r"""Text with `\n` for all line ends, without control and invisible characters."""
    for end in _LINE_ENDS:
        text = text.replace(end, "\n")
    return _CONTROLS.sub("", text.replace("\u2029", "\n\n")).translate(_INVISIBLE)


def _decode(data: bytes, declared: str | None) -> Text | None:
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(name, "ignore")
            return Text(text, "" if name == "UTF-8" else f"read as {name}")
    if declared and (found := _as_declared(data, declared)):
        return found
    if b"\0" in data and (found := _as_utf16(data)):
        return found
    data = data.strip(b"\0")  # what a crash leaves at the end of a file
    if _is_binary(data):
        return None
    try:
        return Text(data.decode())
    except UnicodeDecodeError:
        if len(data) < _MIN_BYTES_FOR_GUESS:
            return None
        return _as_damaged_utf8(data) or _as_chinese(data) or _as_western(data) or _as_ascii(data)


def _as_declared(data: bytes, declared: str) -> Text | None:
    """In the declared encoding if that fits, but in UTF-8 if this does, too.

    Pages in UTF-8 that declare another encoding are more common than others that are valid UTF-8.
    """
    try:
        name = codecs.lookup(declared).name
        name = _SUPERSETS.get(name, name)
        if not name.startswith(_SEVEN_BIT):
            with contextlib.suppress(UnicodeDecodeError):
                return Text(data.decode())
        return Text(data.decode(name), f"read as {declared}")
    except (LookupError, ValueError, TypeError):  # TypeError: a codec of Python that is no encoding
        return None


def _as_utf16(data: bytes) -> Text | None:
    """UTF-16 without a mark, if it then holds ASCII or common Chinese characters."""
    for name in ("UTF-16LE", "UTF-16BE"):
        sample = data[:_SAMPLE_BYTES].decode(name, "ignore")
        others, common = _count(sample, _COMMON_CHINESE)
        known = len(sample) - others + common
        if "\0" not in sample and known > _MIN_UTF16_SHARE * len(sample):
            return Text(data.decode(name, "ignore"), f"read as {name}")
    return None


def _as_damaged_utf8(data: bytes) -> Text | None:
    """UTF-8 with a few bytes that are not, if it has many more characters that are."""
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    others, _ = _count(text, _COMMON_CHINESE)
    whole = others - damaged
    return _without_damage(text, damaged) if whole >= _WHOLE_FOR_DAMAGED * damaged else None


def _as_ascii(data: bytes) -> Text | None:
    """ASCII with a few other bytes of an unknown encoding."""
    text = data.decode("ascii", "replace")
    damaged = text.count("\ufffd")
    return _without_damage(text, damaged) if len(data) >= _BYTES_FOR_DAMAGED * damaged else None


def _without_damage(text: str, damaged: int) -> Text:
    note = f"read as UTF-8 without {damaged:,} damaged byte{'s' * (damaged != 1)}"
    return Text(text.replace("\ufffd", ""), note)


def _as_chinese(data: bytes) -> Text | None:
    """GB18030 or Big5, whichever gives more common characters, if either gives enough."""
    found = []
    for name, shown in (("gb18030", "GB18030"), ("big5hkscs", "Big5")):
        text = data.decode(name, "replace")
        others, common = _count(text, _COMMON_CHINESE)
        found.append((common / max(1, others), shown, text.replace("\ufffd", "")))
    share, shown, text = max(found)
    return Text(text, f"read as {shown}") if share >= _MIN_CHINESE_SHARE else None


def _as_western(data: bytes) -> Text | None:
    """Windows-1252 (Latin-1 and typographic marks) or Mac Roman, if letters and marks are common.

    Of Russian, Greek or Japanese in their old encodings more than half of the characters would be
    beyond ASCII: they are not read.
    """
    windows, mac = (data.decode(name, "replace") for name in ("cp1252", "mac_roman"))
    others, in_windows = _count(windows, _COMMON_WESTERN)
    _, in_mac = _count(mac, _COMMON_WESTERN)
    if max(in_windows, in_mac) < _MIN_WESTERN_SHARE * others or 2 * others > len(data):
        return None
    if in_mac > in_windows:
        return Text(mac, "read as Mac Roman")
    return Text(windows.replace("\ufffd", ""), "read as Windows-1252")


def _count(text: str, common: frozenset[str]) -> tuple[int, int]:
    """The number of characters beyond ASCII, and of those among them that are common."""
    others = _BEYOND_ASCII.findall(text)
    return len(others), sum(character in common for character in others)


def _is_binary(data: bytes) -> bool:
    controls = len(data) - len(data.translate(None, _CONTROL_BYTES))
    return controls > _MAX_CONTROL_SHARE * len(data)


def _reason(data: bytes) -> str:
    """The end of the sentence about bytes that could not be decoded."""
    if _is_binary(data):
        return "holds binary data, no text."
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return (
            f"is not UTF-8 at byte {error.start}; no other known encoding fits either: convert it, "
            "for example with iconv."
        )
    return "holds no text."


def unwrapped(text: str) -> str:
    """Hard-wrapped paragraphs on one line each; the lines of other text as they are.

    Several blanks become one: nothing of them is spoken, and they would be learnt.
    """
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]
    broken = [len(line) for p in paragraphs for line in p.splitlines()[:-1]]
    if broken and int(statistics.median(broken)) in _WRAPPED_LINE_CHARACTERS:
        paragraphs = [_BETWEEN_HAN.sub("", " ".join(p.split())) for p in paragraphs]
    return "\n\n".join(map(tidy_lines, paragraphs))


def tidy_lines(paragraph: str) -> str:
    """The lines of a paragraph without outer and double blanks; empty ones left out."""
    lines = (" ".join(line.split()) for line in paragraph.splitlines())
    return "\n".join(line for line in lines if line)
