"""The vocabulary of a model of ours that keeps a story model's own pieces.

Each piece is a row, which one cl100k_base id spells or several together (model.text.vocabulary), so
that text is cut as the story model has learned it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from config.errors import WeightsError
from model.teacher.llama2c import (
    FIRST_BYTE,
    StoryModel,
    is_longer,
    merged_pieces,
    read_story_model,
)
from model.text.spoken_form import to_spoken_form
from model.text.tokenizer import END_OF_TEXT, spell
from model.text.vocabulary import Vocabulary

PATTERN = r"\n| *[^ \n]+| +"
"""Cuts text where no piece of a llama2.c tokenizer goes on: they hold blanks only in front."""

_BYTES = 256
_CHARACTERS = re.compile("[\u00a0-\u024f\u2000-\u22ff]+")  # accents, quotation marks, currencies
_OPENING_CHARACTERS = 80  # of a document, which are counted without a blank and in spoken form, too


def piece_vocabulary(path: Path, documents: Iterable[str], size: int) -> Vocabulary:
    """The story model's pieces that documents need most, at most `size` rows in all.

    Every text has an encoding: the single bytes are rows, too, and common characters. Where
    documents need fewer pieces, those of ASCII characters that are merged first are added, the
    commonest in other texts. Of a character that is no piece of the story model, two bytes may be
    one row; all else is cut as it cuts it.

    Raises:
        WeightsError: the file is missing or no such model, or the size is too small for the bytes.
    """
    story = read_story_model(path)
    counts = _count_pieces(story, documents)
    basis = _basis(story, counts)
    room = size - len(basis) - 1
    if room < 0:
        raise WeightsError(f"A vocabulary needs at least {len(basis) + 1} rows, not {size}.")
    merged = [p for p in _merged(story) if p not in basis]
    # A piece is made of others that occur at least as often and are merged before it.
    commonest = sorted(merged, key=lambda piece: -counts[piece])
    used = [piece for piece in commonest if counts[piece] or piece.isascii()]
    return _vocabulary(story, [*basis, *used[:room]])


def with_characters(path: Path, vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary of pieces with every character that `piece_vocabulary` keeps anyway.

    Raises:
        WeightsError: the file is missing or no such model.
    """
    story = read_story_model(path)
    return _vocabulary(story, [*_basis(story, Counter()), *vocabulary.pieces[:-1]])


def _merged(story: StoryModel) -> list[bytes]:
    """The pieces of several characters, in the order of merges."""
    merged = (p for p in story.pieces[FIRST_BYTE + _BYTES :] if is_longer(p))
    return sorted(merged, key=lambda piece: -story.scores[story.ids[piece]])


def _vocabulary(story: StoryModel, kept: Sequence[bytes]) -> Vocabulary:
    """Rows in the order of merges: what is no merged piece first, in the given order."""
    merged = _merged(story)
    chosen, others = set(kept), set(merged)
    first = [piece for piece in dict.fromkeys(kept) if piece not in others]
    pieces = [*first, *(piece for piece in merged if piece in chosen)]
    spelt = [*map(spell, pieces), [END_OF_TEXT]]
    return Vocabulary([i for ids in spelt for i in ids], [*map(len, spelt)], PATTERN)


def _count_pieces(story: StoryModel, documents: Iterable[str]) -> Counter[bytes]:
    """How often each piece is made in documents and in the spoken forms of their openings."""
    words: Counter[str] = Counter()
    for document in documents:
        opening = document[:_OPENING_CHARACTERS]
        for text in (f" {document}", opening, to_spoken_form(opening)):
            words.update(re.findall(PATTERN, text))
    counts: Counter[bytes] = Counter()
    for word, count in words.items():
        characters = (c.encode() for c in word if not c.isascii())
        for piece in (*merged_pieces(story, word.encode()), *characters):
            counts[piece] += count if piece in story.ids else 0
    return +counts


def _basis(story: StoryModel, counts: Counter[bytes]) -> list[bytes]:
    """The single bytes, then the longer characters after what their bytes are merged to.

    Characters are those that documents have, and all of `_CHARACTERS`, which users may have, with
    what the story model merges of these alone.
    """
    common = [piece for piece in story.pieces if _is_common(piece)]
    characters = [p for p in dict.fromkeys([*counts, *common]) if not is_longer(p)]
    merged = [piece for piece in common if is_longer(piece)]
    single = [bytes([byte]) for byte in range(_BYTES)]
    return list(dict.fromkeys([*single, *_grown(characters), *merged]))


def _is_common(piece: bytes) -> bool:
    """True for a piece of common characters beyond ASCII."""
    try:
        return len(piece) > 1 and _CHARACTERS.fullmatch(piece.decode()) is not None
    except UnicodeDecodeError:
        return False


def _grown(characters: Iterable[bytes]) -> Iterator[bytes]:
    for character in characters:
        yield from (character[:end] for end in range(2, len(character) + 1))
