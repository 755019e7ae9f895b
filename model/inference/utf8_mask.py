"""Masks the ids whose bytes would make invalid UTF-8 (constrained decoding).

Many ids of cl100k_base are a part of a character's UTF-8 bytes; most Chinese characters are two or
three of them. A small model now and then follows one with another that does not fit.
"""

import codecs
from collections.abc import Sequence

import torch
from torch import Tensor

FORBIDDEN = -1e9  # added to a logit; finite, because the sampler refuses infinite ones


class Utf8Mask:
    """Follows the ids of one text; `mask` holds 0 for the ids that may come next.

    There is one mask for each beginning of a character, made when it is first needed.
    """

    def __init__(self, pieces: Sequence[bytes], device: torch.device | str = "cpu") -> None:
        """`pieces` are the bytes of each of the V ids; an id without bytes ends a text."""
        self._pieces = pieces
        self._device = device
        self._continuations = [i for i, piece in enumerate(pieces) if continues_character(piece)]
        self._masks: dict[bytes, Tensor] = {}  # (V,) each, by the bytes of a character begun
        self._begun = b""
        self.mask()

    def reset(self) -> None:
        """Begin a new text, at a character boundary."""
        self._begun = b""

    def feed(self, token: int) -> None:
        """Append this id, which the mask must have allowed."""
        piece = self._pieces[token]
        if self._begun or not piece.isascii():  # else only whole characters
            self._begun = decode(self._begun + piece)[1]

    def mask(self) -> Tensor:
        """Added to logits: (V,), 0 for the ids that may come next, FORBIDDEN for others."""
        if self._begun not in self._masks:
            self._masks[self._begun] = self._make_mask(self._begun)
        return self._masks[self._begun]

    def _make_mask(self, begun: bytes) -> Tensor:
        """The mask (V,) after these first bytes of a character."""
        candidates = self._continuations if begun else range(len(self._pieces))
        fitting = [i for i in candidates if _is_valid_prefix(begun + self._pieces[i])]
        mask = torch.full((len(self._pieces),), FORBIDDEN)  # (V,)
        mask[fitting] = 0.0
        return mask.to(self._device)


def continues_character(piece: bytes) -> bool:
    """True if the first byte is a UTF-8 continuation byte."""
    return bool(piece) and 0x80 <= piece[0] < 0xC0


def _is_valid_prefix(data: bytes) -> bool:
    """True if these bytes are valid UTF-8, but that the last character may be incomplete."""
    if data.isascii():
        return True
    try:
        begun = decode(data, "strict")[1]
    except UnicodeDecodeError:
        return False
    # A surrogate is no character, but Python reports it only at its last byte.
    return not b"\xed\xa0" <= begun[:2] <= b"\xed\xbf"


def decode(data: bytes, errors: str = "replace") -> tuple[str, bytes]:
    """The whole characters of UTF-8 bytes, and the bytes of an incomplete one at the end.

    Raises:
        UnicodeDecodeError: bytes are no UTF-8, and `errors` is "strict".
    """
    text, length = codecs.utf_8_decode(data, errors, False)
    return text, data[length:]
