"""The vocabulary of a model of ours that keeps a story model's own pieces.

Each piece is a row, which one cl100k_base id spells or several together (model.text.vocabulary), so
that text is cut as the story model has learned it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
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
_OPENING_CHARACTERS = 80  # of a document, which are counted without a blank and in spoken form, too


def piece_vocabulary(path: Path, documents: Iterable[str], size: int) -> Vocabulary:
    """The story model's pieces that documents need most, at most `size` rows in all.

    Every text has an encoding: the single bytes are rows, too. Where documents need fewer pieces,
    those of ASCII characters that are merged first are added, the commonest in other texts. Of a
    character that is no piece of the story model, two bytes may be one row; all else is cut as it
    cuts it.

    Raises:
        WeightsError: the file is missing or no such model, or the size is too small for the bytes.
    """
    story = read_story_model(path)
    counts = _count_pieces(story, documents)
    basis = _basis(counts)
    room = size - len(basis) - 1
    if room < 0:
        raise WeightsError(f"A vocabulary needs at least {len(basis) + 1} rows, not {size}.")
    merged = [i for i, piece in enumerate(story.pieces) if i >= FIRST_BYTE + _BYTES]
    merged = [i for i in merged if is_longer(story.pieces[i])]
    merged.sort(key=lambda i: -story.scores[i])
    # A piece is made of others that occur at least as often and are merged before it.
    commonest = sorted(merged, key=lambda i: -counts[story.pieces[i]])
    used = [i for i in commonest if counts[story.pieces[i]] or story.pieces[i].isascii()]
    chosen = set(used[:room])
    pieces = [*basis, *(story.pieces[i] for i in merged if i in chosen)]
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


def _basis(counts: Counter[bytes]) -> list[bytes]:
    """The single bytes, then the longer characters after what their bytes are merged to."""
    characters = [piece for piece in counts if not is_longer(piece)]
    return list(dict.fromkeys([*(bytes([b]) for b in range(_BYTES)), *_grown(characters)]))


def _grown(characters: Iterable[bytes]) -> Iterator[bytes]:
    for character in characters:
        yield from (character[:end] for end in range(2, len(character) + 1))
