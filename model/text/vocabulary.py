"""The vocabulary of a model: a subset of cl100k_base that can still encode any text.

A corpus of simple stories uses a tenth of cl100k_base's ids. Keeping only those makes embedding
and head ten times smaller, and ids never seen in training can never be spoken. The 256 single
bytes are always kept; the bytes of any other id are encoded with the kept ids only, so every text
has an encoding and decodes unchanged.

Letters in shapes: V vocabulary, N ids of cl100k_base, M compact ids.
"""

import codecs
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from config.errors import WeightsError
from model.text.tokenizer import ENCODING_SIZE, END_OF_TEXT, encode, load_encoding, token_id

Ids = npt.NDArray[np.integer]

SINGLE_BYTES = 256  # cl100k_base's ids below this are the single bytes
_ORDINARY = 100_256  # ids below this stand for bytes; the few defined ones above are special


class Vocabulary:
    """Compact ids 0 … size - 1, in the order of the cl100k_base ids they stand for.

    Attributes:
        kept: (V,) the cl100k_base id of each compact id, ascending.
        merge_order: (V,) the same ids in the order of merges (byte-pair encoding).
        size: V.
        end: the compact id of `<|endoftext|>`.
        pieces: the bytes of each of the V compact ids; empty for `<|endoftext|>`.
    """

    def __init__(self, kept: Iterable[int]) -> None:
        """Keep these cl100k_base ids, and add the single bytes and `<|endoftext|>`.

        Their order is the order of merges for the bytes of ids that are not kept. Ascending ids
        give cl100k_base's own; a model trained with another tokenizer needs the other's.

        Raises:
            WeightsError: an id is not one that cl100k_base defines for text.
        """
        ids = list(dict.fromkeys([*kept, *range(SINGLE_BYTES), END_OF_TEXT]))
        foreign = [i for i in ids if not (0 <= i < _ORDINARY or i == END_OF_TEXT)]
        if foreign:
            raise WeightsError(f"The vocabulary holds {foreign[0]}, which is no id of cl100k_base.")
        self.merge_order = np.array(ids, dtype=np.uint32)
        self.kept = np.sort(self.merge_order)
        self.size = len(self.kept)
        self.end = self.size - 1
        self._compact = np.full(ENCODING_SIZE, -1, dtype=np.int32)  # -1 where not kept
        self._compact[self.kept] = np.arange(self.size)
        encoding = load_encoding()
        ordinary = (int(i) for i in self.kept[:-1])
        self.pieces = [*(encoding.decode_single_token_bytes(i) for i in ordinary), b""]
        self._merge_rank = np.empty(ENCODING_SIZE, dtype=np.int32)  # where kept
        self._merge_rank[self.merge_order] = np.arange(self.size)
        self._spellings: dict[int, npt.NDArray[np.int32]] = {}  # of ids that are not kept

    @classmethod
    def full(cls) -> "Vocabulary":
        """The vocabulary of every id that stands for text: 100,257 with `<|endoftext|>`."""
        return cls(range(_ORDINARY))

    def encode(self, text: str) -> list[int]:
        """Text to compact ids; a written-out `<|endoftext|>` is ordinary text."""
        ids = encode(load_encoding(), text)
        return [int(i) for i in self.compact(np.array(ids, dtype=np.int64))]

    def compact(self, ids: Ids) -> npt.NDArray[np.int32]:
        """cl100k_base ids (N,) to compact ids (M,); M > N where ids are not kept."""
        known = self._compact[ids]  # (N,), -1 where not kept
        holes = np.flatnonzero(known < 0)  # their indices
        if not holes.size:
            return known
        parts = []
        begin = 0
        for hole in holes.tolist():
            parts += [known[begin:hole], self._spelling(int(ids[hole]))]
            begin = hole + 1
        return np.concatenate([*parts, known[begin:]])

    def decode(self, ids: Iterable[int]) -> str:
        """Compact ids to text; bytes that form no character become U+FFFD."""
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", errors="replace")

    def _spelling(self, token: int) -> npt.NDArray[np.int32]:
        """The compact ids that together spell a cl100k_base id that is not kept."""
        if token not in self._spellings:
            data = load_encoding().decode_single_token_bytes(token)
            merged = [load_encoding().encode_single_token(piece) for piece in self._merge(data)]
            self._spellings[token] = self._compact[np.array(merged)]
        return self._spellings[token]

    def _merge(self, data: bytes) -> list[bytes]:
        """Byte-pair encoding with the kept ids only: the lowest rank first, then the leftmost.

        It begins with whole characters where they are kept, as the ids between them and their
        bytes may not be kept.
        """
        parts = [
            part
            for character in data.decode("utf-8", errors="surrogateescape")
            for part in self._whole_or_bytes(character.encode("utf-8", errors="surrogateescape"))
        ]
        while True:
            joined = [left + right for left, right in itertools.pairwise(parts)]
            found = [(token_id(j), i) for i, j in enumerate(joined)]
            kept = [(self._merge_rank[token], i) for token, i in found if self._keeps(token)]
            if not kept:
                return parts
            _, at = min(kept)
            parts[at : at + 2] = [joined[at]]

    def _whole_or_bytes(self, character: bytes) -> list[bytes]:
        """A character in one part if that is kept, else its bytes."""
        if self._keeps(token_id(character)):
            return [character]
        return [character[i : i + 1] for i in range(len(character))]

    def _keeps(self, token: int | None) -> bool:
        """True if this cl100k_base id exists and is kept."""
        return token is not None and self._compact[token] >= 0


class TextDecoder:
    """Decodes compact ids one at a time; bytes of an incomplete character are buffered."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The characters that this compact id completes, often none."""
        return self._utf8.decode(self._pieces[token])
