"""The texts of a refresh: the user's own, in pieces, with some of the starter corpus."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace

from model.data.corpus import Corpus, load_corpus, make_source, read_text
from model.data.cutting import LINES, PARAGRAPHS, SENTENCES, WORDS, cut_text
from model.data.user_texts import UserText
from model.text.verse.couplets import is_verse
from model.train.result.scores import STARTER_SEED, starter_file

# A context of 256 tokens holds a piece of the longest, so that each row has the beginning of one:
# what a seed is continued with is learnt there.
_PIECE_CHARACTERS = range(500, 801)
_SAMPLE_CHARACTERS = 20_000  # of the starter corpus show its form
_HELD_OUT_EVERY = 20  # one piece in 20 is held out ...
_HELD_OUT_PIECES = range(2, 33)  # ... but at least 2 and at most 32


def cut(texts: Sequence[UserText]) -> list[str]:
    """Cut texts at sentence ends into pieces of a twentieth of all, 500 to 800 characters.

    A sentence that is longer by itself is cut at blanks, or anywhere if it has none.
    """
    size = sum(len(text.text) for text in texts)
    longest = min(_PIECE_CHARACTERS[-1], max(_PIECE_CHARACTERS[0], size // _HELD_OUT_EVERY))
    ends = (PARAGRAPHS, LINES, SENTENCES, WORDS)
    return [piece for text in texts for piece in cut_text(text.text, longest, ends)]


def is_new_form(pieces: Sequence[str], language: str) -> bool:
    """True if the starter corpus, and so the shipped weights, are verse, and the pieces are not."""
    starter = read_text(starter_file(language).path).text[:_SAMPLE_CHARACTERS]
    return is_verse(starter) and not is_verse("\n".join(pieces))


def mix(pieces: Sequence[str], language: str, seed: int, starter_share: float) -> Corpus:
    """The user's pieces with this share of starter documents, drawn anew in each pass.

    It is a share of the documents, not of the tokens: a seed begins a document, and what most of
    them go on with is what is heard. Openings of the starter's are never in spoken form, so that
    spoken seeds are the user's. The user's texts alone are held out.

    Args:
        pieces: of the user's texts.
        language: of the texts.
        seed: of the order, which decides what is held out.
        starter_share: 0 to below 1.
    """
    shuffled = list(pieces)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    count = len(shuffled) // _HELD_OUT_EVERY
    count = min(_HELD_OUT_PIECES[-1], max(_HELD_OUT_PIECES[0], count))
    own, mine = shuffled[:count], make_source(shuffled[count:])
    digest = hashlib.sha256("\0".join(shuffled).encode()).hexdigest()
    if not starter_share:
        return Corpus([mine], own, digest)
    starter = load_corpus([starter_file(language)], STARTER_SEED)
    wanted = len(mine.documents) * starter_share / (1 - starter_share)
    share = min(1.0, wanted / sum(len(source.documents) for source in starter.sources))
    others = [replace(source, share=share, spoken=False) for source in starter.sources]
    fingerprint = f"{digest} {starter.fingerprint} {starter_share:g}"
    return Corpus([mine, *others], own, fingerprint)
