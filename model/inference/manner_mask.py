"""Masks the ids that the manner of the weights forbids (constrained decoding).

Some are never drawn, such as line breaks; the end of the text may wait for the end of a sentence.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from model.inference.utf8_mask import FORBIDDEN
from model.text.manner import Manner
from model.text.sentences import is_complete

_TAIL_BYTES = 32  # hold the mark that ends a sentence and the quotation marks after it


class MannerMask:
    """Follows the ids of one continuation; `mask` holds 0 for the ids that may come next."""

    def __init__(self, pieces: Sequence[bytes], end: int, manner: Manner) -> None:
        """`pieces` are the bytes of each of the V ids; `end` is the id that ends a text."""
        self._pieces = pieces
        self._waits = manner.ends_after_sentence
        self._anywhere = torch.zeros(len(pieces))  # (V,)
        self._anywhere[_never(pieces, manner.never)] = FORBIDDEN
        self._within_sentence = self._anywhere.clone()  # (V,)
        self._within_sentence[end] = FORBIDDEN
        self._tail = b""
        self.in_force = self._waits or bool(manner.never)

    def reset(self) -> None:
        """Begin a new continuation."""
        self._tail = b""

    def feed(self, token: int) -> None:
        """Append this id."""
        self._tail = (self._tail + self._pieces[token])[-_TAIL_BYTES:]

    def mask(self) -> Tensor:
        """Added to logits: (V,), 0 for the ids that may come next, FORBIDDEN for others."""
        if self._waits and not is_complete(self._tail.decode("utf-8", "ignore")):
            return self._within_sentence
        return self._anywhere


def _never(pieces: Sequence[bytes], texts: Sequence[str]) -> list[int]:
    """The ids whose bytes hold one of these texts."""
    if not texts:
        return []
    forbidden = re.compile(b"|".join(re.escape(text.encode()) for text in texts))
    return [i for i, piece in enumerate(pieces) if forbidden.search(piece)]
