"""Rows of a byte-level tokenizer: its pieces in the order of merges, spelt in cl100k_base.

Files write each byte as a printable character, as GPT-2's tokenizer did.
"""

import functools
from dataclasses import dataclass

from config.errors import WeightsError
from model.convert.source import ConversionError, Tokenizer
from model.text.tokenizer import END_OF_TEXT, spell
from model.text.vocabulary import Vocabulary

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Digits are cut out first, one by one, and the text between them by GPT-2's pattern: blanks before
# a digit are the end of such a text.
_DIGITS_FIRST = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"gpt-2": _GPT2, "smollm": _DIGITS_FIRST, "llama-bpe": _LLAMA3}
"""The regular expressions that cut text before any merge, by llama.cpp's names."""

_FEWEST_BYTES = 230  # of the 243 that UTF-8 uses; some tokenizers lack a few rare ones


@functools.cache
def _byte_of_character() -> dict[str, int]:
    """Printable bytes stand for themselves, the others for characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    shifted = {chr(0x100 + number): byte for number, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


def piece_bytes(token: str) -> bytes | None:
    """The bytes of a token as files write it; None if it is not written so."""
    known = _byte_of_character()
    return bytes(known[c] for c in token) if token and all(c in known for c in token) else None


def split_merge(merge: object) -> bytes:
    """What a merge makes: "Ġt he", or the same as two strings, is " the"."""
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(parts, list) or len(parts) != 2:
        raise ConversionError("the merges of its tokenizer cannot be read")
    pieces = [piece_bytes(part) for part in parts]
    if None in pieces:
        raise ConversionError("the merges of its tokenizer cannot be read")
    return b"".join(piece for piece in pieces if piece)


@dataclass(frozen=True)
class Rows:
    """The rows of a converted model.

    Attributes:
        vocabulary: their vocabulary.
        tokens: the token of the source for each of the V rows.
        single: how many are spelt by one id of cl100k_base.
        left_out: how many special tokens have no row.
    """

    vocabulary: Vocabulary
    tokens: list[int]
    single: int
    left_out: int


def make_rows(tokenizer: Tokenizer) -> Rows:
    """A row for each piece, in the order of merges, and the token that ends a document.

    Raises:
        ConversionError: the tokenizer has no bytes, or no token that ends a document.
    """
    if not isinstance(tokenizer.end, int) or not 0 <= tokenizer.end < len(tokenizer.pieces):
        raise ConversionError("its tokenizer has no token that ends a document")
    rank: dict[bytes, int] = {}
    for number, merged in enumerate(tokenizer.merges):
        rank.setdefault(merged, number)
    last = len(rank)
    found = [(i, piece) for i, piece in enumerate(tokenizer.pieces) if piece and i != tokenizer.end]
    found.sort(key=lambda pair: -1 if len(pair[1]) == 1 else rank.get(pair[1], last))
    unique = {piece: i for i, piece in reversed(found)}
    if sum(len(piece) == 1 for piece in unique) < _FEWEST_BYTES:
        raise ConversionError("its tokenizer is not made of bytes")
    tokens = [i for i, piece in found if unique[piece] == i]
    spelt = [spell(piece) for i, piece in found if unique[piece] == i]
    ids = [i for spelling in spelt for i in spelling]
    lengths = [*map(len, spelt), 1]
    try:
        vocabulary = Vocabulary([*ids, END_OF_TEXT], lengths, tokenizer.pattern)
    except WeightsError as error:
        raise ConversionError("its tokenizer cuts text by an unusable pattern") from error
    return Rows(
        vocabulary,
        [*tokens, tokenizer.end],
        lengths.count(1),
        len(tokenizer.pieces) - len(lengths),
    )
