"""The vocabulary of a model: a subset of cl100k_base that can still encode any text.

A corpus of simple stories uses a tenth of cl100k_base's ids. Keeping only those makes embedding
and head ten times smaller, and ids never seen in training can never be spoken. The 256 single
bytes are always kept; the bytes of any other id are encoded with the kept ids only, so every text
has an encoding and decodes unchanged.

A model that was trained with another tokenizer keeps that one's pieces as rows (model.convert,
model.teacher.piece_vocabulary): each is a byte string that one cl100k_base id spells, or several
together.

Letters in shapes: V vocabulary, N ids of cl100k_base, M compact ids.
"""

import codecs
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from config.errors import WeightsError
from model.text.row_encoding import RowEncoding
from model.text.tokenizer import ENCODING_SIZE, END_OF_TEXT, encode, load_encoding, token_id

Ids = npt.NDArray[np.integer]

SINGLE_BYTES = 256  # cl100k_base's ids below this are the single bytes
_ORDINARY = 100_256  # ids below this stand for bytes; the few defined ones above are special


class Vocabulary:
    """Compact ids 0 … size - 1, in the order of the cl100k_base ids they stand for.

    Rows of another tokenizer stay in the order of its merges instead.

    Attributes:
        merge_order: (N,) the cl100k_base ids that spell the compact ids, in the order of merges
            (byte-pair encoding).
        lengths: (V,) how many of them spell each row; empty for a subset of cl100k_base.
        pattern: the regular expression that cuts text before any merge; empty for cl100k_base's.
        size: V.
        end: the compact id of `<|endoftext|>`.
        pieces: the bytes of each of the V compact ids; empty for `<|endoftext|>`.
    """

    def __init__(self, kept: Iterable[int], lengths: Sequence[int] = (), pattern: str = "") -> None:
        """Keep these cl100k_base ids, and add the single bytes and `<|endoftext|>`.

        Their order is the order of merges for the bytes of ids that are not kept. Ascending ids
        give cl100k_base's own; a model trained with another tokenizer needs the other's.

        With lengths, `kept` are instead the ids of rows, one row after another, each of that many
        ids; `<|endoftext|>` is the last row, and `pattern` is the other tokenizer's.

        Raises:
            WeightsError: an id is not one that cl100k_base defines for text, or the rows, their
                lengths and pattern do not fit each other.
        """
        given = list(kept)
        foreign = [i for i in given if not (0 <= i < _ORDINARY or i == END_OF_TEXT)]
        if foreign:
            raise WeightsError(f"The vocabulary holds {foreign[0]}, which is no id of cl100k_base.")
        self.pattern = pattern
        if len(lengths):
            self._keep_rows(given, lengths)
        else:
            self._keep_ids(given)

    def _keep_rows(self, ids: list[int], lengths: Sequence[int]) -> None:
        """The rows of another tokenizer, spelt by these ids."""
        ends = list(itertools.accumulate(lengths))
        last_is_end = lengths[-1] == 1 and ids[-1:] == [END_OF_TEXT]
        if min(lengths) < 1 or ends[-1] != len(ids) or not last_is_end or END_OF_TEXT in ids[:-1]:
            raise WeightsError("The vocabulary's rows do not fit their lengths.")
        self.merge_order = np.array(ids, dtype=np.uint32)
        self.lengths = np.array(lengths, dtype=np.int32)
        self.size = len(lengths)
        self.end = self.size - 1
        encoding = load_encoding()
        data = [encoding.decode_single_token_bytes(i) for i in ids[:-1]]
        begins = [0, *ends[:-1]]
        rows = zip(begins[:-1], ends[:-1], strict=True)
        self.pieces = [*(b"".join(data[begin:end]) for begin, end in rows), b""]
        self._spelt = [ids[begin:end] for begin, end in zip(begins, ends, strict=True)]
        self._rows: RowEncoding | None = RowEncoding(self.pieces[:-1], self.pattern)

    def _keep_ids(self, kept: list[int]) -> None:
        """A subset of cl100k_base."""
        self._rows = None
        ids = list(dict.fromkeys([*kept, *range(SINGLE_BYTES), END_OF_TEXT]))
        self.merge_order = np.array(ids, dtype=np.uint32)
        self.kept = np.sort(self.merge_order)
        self.size = len(self.kept)
        self.lengths = np.empty(0, dtype=np.int32)
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
        if self._rows:
            return self._rows.encode(text)
        ids = encode(load_encoding(), text)
        return [int(i) for i in self.compact(np.array(ids, dtype=np.int64))]

    def compact(self, ids: Ids) -> npt.NDArray[np.int32]:
        """cl100k_base ids (N,) to compact ids (M,); M > N where ids are not kept.

        Rows of another tokenizer cut the text of the ids anew.
        """
        if self._rows:
            return self._cut_anew(ids, self._rows)
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

    def spelling(self, compact_id: int) -> tuple[int, ...]:
        """The cl100k_base ids that spell a compact id: one, or several for a row."""
        return tuple(self._spelt[compact_id]) if self._rows else (int(self.kept[compact_id]),)

    def decode(self, ids: Iterable[int]) -> str:
        """Compact ids to text; bytes that form no character become U+FFFD."""
        return b"".join(self.pieces[i] for i in ids).decode("utf-8", errors="replace")

    def _cut_anew(self, ids: Ids, rows: RowEncoding) -> npt.NDArray[np.int32]:
        """cl100k_base ids (N,) of documents, each ended by `<|endoftext|>`, to rows (M,)."""
        encoding = load_encoding()
        cut: list[int] = []
        begin = 0
        for end in [*np.flatnonzero(ids == END_OF_TEXT).tolist(), len(ids)]:
            cut += rows.encode(encoding.decode(ids[begin:end].tolist()))
            cut += [self.end] * (end < len(ids))
            begin = end + 1
        return np.array(cut, dtype=np.int32)

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
