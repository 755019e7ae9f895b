"""Byte-pair encoding with the rows of another tokenizer than cl100k_base.

A model that was trained with another byte-level tokenizer needs text cut just as there: by its
pattern first, then merged in its order. Letters in shapes: V vocabulary, M ids.
"""

import itertools
from collections.abc import Sequence

import tiktoken

from config.errors import WeightsError
from model.text.tokenizer import encode

_BYTES = 256


class RowEncoding:
    """Cuts text into rows, whose indices are the order of merges."""

    def __init__(self, pieces: Sequence[bytes], pattern: str) -> None:
        """`pieces` are the bytes of each of the V rows, `pattern` cuts text before any merge.

        Raises:
            WeightsError: two rows have the same bytes, or the pattern is no regular expression or
                matches empty text.
        """
        ranks = {piece: row for row, piece in enumerate(pieces)}
        if len(ranks) != len(pieces):
            raise WeightsError("The vocabulary holds a piece of text twice.")
        self._size = len(pieces)
        # tiktoken needs every byte. Those without a row, which hardly a text holds, are left out of
        # what it returns, as other tokenizers do.
        missing = (bytes([byte]) for byte in range(_BYTES) if bytes([byte]) not in ranks)
        ranks.update(zip(list(missing), itertools.count(self._size), strict=False))
        try:
            self._encoding = tiktoken.Encoding(
                "rows", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}
            )
        except ValueError as error:
            raise WeightsError("The vocabulary's pattern is no regular expression.") from error
        self._refuse_empty_matches()
        ranks.clear()  # tiktoken keeps them only to pickle itself; its core has a copy

    def _refuse_empty_matches(self) -> None:
        """Refuse a pattern that can match no character: tiktoken's core panics on it."""
        try:
            self._encoding.encode_ordinary("a 1.")
        except BaseException as error:  # pyo3's PanicException, which is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise WeightsError("The vocabulary's pattern matches empty text.") from error

    def encode(self, text: str) -> list[int]:
        """Text to rows (M,)."""
        return [row for row in encode(self._encoding, text) if row < self._size]
