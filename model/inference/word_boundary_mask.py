"""Masks the ids that would glue a continuation to the last word of its seed (constrained decoding).

Ids are parts of words as often as whole ones: " fish" may be followed by "erman". In a text that is
right; after a seed, whose last word is complete, it is not (model.text.word_boundary). The mask is
in force from the first id until a word of the continuation's own may begin: often for one id, for
more where ids are punctuation marks or single bytes of a character.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.inference.utf8_mask import FORBIDDEN, continues_character, decode
from model.text.word_boundary import Boundary, advance, boundary_after, share_of_word_parts

_MAX_SHARE = 2 / 3  # of letters among what an incomplete character may become; see `_fits`


class WordBoundaryMask:
    """Follows the first ids of a continuation; `mask` holds 0 for the ids that may come next.

    An id that it allows is valid UTF-8, as with Utf8Mask. It allows all ids where it would leave
    none but the end of the text, in a vocabulary that lacks even blanks. There is one mask for each
    boundary and beginning of a character; those for whole characters are made at once (0.1 s for
    100,000 ids), the others when they are first needed.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces` are the bytes of each of the V ids; an id without bytes ends a text."""
        self._pieces = pieces
        self._continuations = [i for i, piece in enumerate(pieces) if continues_character(piece)]
        self._everything = torch.zeros(len(pieces))  # (V,)
        self._masks = {  # (V,) each, by the boundary and the bytes of a character begun
            (boundary, b""): self._make_mask(boundary, b"")
            for boundary in (Boundary.WORD, Boundary.MARK)
        }
        self._boundary, self._begun = Boundary.OPEN, b""

    @property
    def in_force(self) -> bool:
        """True until a word may begin."""
        return self._boundary is not Boundary.OPEN

    def reset(self, seed: str) -> None:
        """Begin a continuation of this seed, as the model reads it."""
        self._boundary, self._begun = boundary_after(seed), b""

    def feed(self, token: int) -> None:
        """Append this id."""
        if self.in_force:
            text, self._begun = decode(self._begun + self._pieces[token])
            self._boundary = advance(self._boundary, text) or Boundary.OPEN

    def mask(self) -> Tensor:
        """Added to logits: (V,), 0 for the ids that may come next, FORBIDDEN for others."""
        if not self.in_force:
            return self._everything
        key = self._boundary, self._begun
        if key not in self._masks:
            self._masks[key] = self._make_mask(*key)
        return self._masks[key]

    def _make_mask(self, boundary: Boundary, begun: bytes) -> Tensor:
        """The mask (V,) after this boundary and these first bytes of a character."""
        if begun:
            fitting = [i for i in self._continuations if _fits(boundary, begun + self._pieces[i])]
        else:
            fitting = _fitting_at_a_character(boundary, self._pieces)
        if not any(self._pieces[i] for i in fitting):
            return self._everything
        mask = torch.full((len(self._pieces),), FORBIDDEN)  # (V,)
        mask[fitting] = 0.0
        return mask


def _fitting_at_a_character(boundary: Boundary, pieces: Sequence[bytes]) -> list[int]:
    """The ids that may come next where no character is incomplete.

    Most begin with an ASCII character that decides for the whole: a blank or a letter.
    """
    first = {bytes([byte]): advance(boundary, chr(byte)) for byte in range(0x80)}
    return [
        i
        for i, piece in enumerate(pieces)
        if (after := first.get(piece[:1], boundary)) is Boundary.OPEN
        or (after is not None and _fits(boundary, piece))
    ]


def _fits(boundary: Boundary, data: bytes) -> bool:
    """True if these bytes may come next.

    An incomplete character at the end may come next unless most of the characters that begin with
    its bytes are letters. Those that share the first byte of "é" are, but for "×" and "÷", so that
    byte is forbidden. The first byte of "—" is allowed, and its second and third must then not make
    "’" of it.
    """
    try:
        text, begun = decode(data, "strict")
    except UnicodeDecodeError:
        return False
    after = advance(boundary, text)
    if after is None or after is Boundary.OPEN or not begun:
        return after is not None
    return share_of_word_parts(_code_points(begun)) <= _MAX_SHARE


def _code_points(begun: bytes) -> range:
    """The code points whose UTF-8 bytes begin with these."""
    length = 2 if begun[0] < 0xE0 else 3 if begun[0] < 0xF0 else 4
    lowest = {2: 0x80, 3: 0x800, 4: 0x10000}[length]
    value = begun[0] & (0x7F >> length)
    for byte in begun[1:]:
        value = value << 6 | byte & 0x3F
    bits = 6 * (length - len(begun))  # that are still open
    return range(max(value << bits, lowest), min((value + 1) << bits, 0x110000))
