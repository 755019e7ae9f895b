"""Which ids may come next, so that the bytes of all together are whole characters.

Many ids of cl100k_base are a part of a character's UTF-8 bytes; most Chinese characters are two or
three of them. A small model now and then follows one with another that does not fit.
"""

import codecs
from collections.abc import Sequence

import torch
from torch import Tensor

FORBIDDEN = -1e9  # added to a logit; finite, for the sampler takes infinite ones for a fault


class Utf8Mask:
    """Follows the ids of one text; `mask` tells what may come next.

    The masks are made when they are first needed: one for each beginning of a character.
    """

    def __init__(self, pieces: Sequence[bytes], device: torch.device | str = "cpu") -> None:
        """`pieces` are the bytes of each id; those without bytes end a text."""
        self._pieces = pieces
        self._device = device
        self._goes_on = [i for i, piece in enumerate(pieces) if _begins_within(piece)]
        self._masks: dict[bytes, Tensor] = {}
        self._begun = b""
        self.mask()

    def reset(self) -> None:
        """Begin a new text, with whole characters."""
        self._begun = b""

    def feed(self, token: int) -> None:
        """Note that this id has come; it must be one that the mask allowed."""
        piece = self._pieces[token]
        if self._begun or not piece.isascii():  # whole characters else, and nothing to decode
            self._begun = _unfinished(self._begun + piece)

    def mask(self) -> Tensor:
        """(V,): 0 for the ids that may come next, FORBIDDEN for others."""
        if self._begun not in self._masks:
            self._masks[self._begun] = self._make_mask(self._begun)
        return self._masks[self._begun]

    def _make_mask(self, begun: bytes) -> Tensor:
        candidates = self._goes_on if begun else range(len(self._pieces))
        fitting = [i for i in candidates if _fits(begun + self._pieces[i])]
        mask = torch.full((len(self._pieces),), FORBIDDEN)
        mask[fitting] = 0.0
        return mask.to(self._device)


def _begins_within(piece: bytes) -> bool:
    """Whether the first byte can only go on with a character."""
    return bool(piece) and 0x80 <= piece[0] < 0xC0


def _fits(data: bytes) -> bool:
    """Whether these are whole characters, the last of which may lack its end."""
    if data.isascii():
        return True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return False
    # Half a surrogate is no character, but Python only says so at its last byte.
    return not b"\xed\xa0" <= decoder.getstate()[0][:2] <= b"\xed\xbf"


def _unfinished(data: bytes) -> bytes:
    """The bytes at the end that are no whole character yet."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return decoder.getstate()[0]
