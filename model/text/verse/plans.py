"""Plans a poem about prose: the words that lead it in, its subjects, the couplets that it has."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.text.verse.couplets import last_couplets
from model.text.verse.subjects import Subject, Subjects

LEAD = re.compile(r"(?:题“([^”]{1,12})”|无题)一首：")
"""The words that lead in a poem, and the subject that they name."""
UNTITLED = "无题一首："
"""Leads in a poem without a subject, as poets have called theirs since the Tang."""

_MOST_PIECES = 12  # of unlisted words that are scored
_MOST_PIECE_BITS = 8.0  # mean of the characters, up to which verse knows a word


@dataclass(frozen=True)
class Plan:
    """A poem that is to be written.

    Attributes:
        lead: what is said first; empty where the poem goes on.
        subjects: of the poem, the first of which the lead names; there may be none.
        poem: the couplets that are already said.
    """

    lead: str
    subjects: tuple[Subject, ...]
    poem: tuple[str, ...] = ()

    def images(self, poem: Sequence[str]) -> tuple[str, ...]:
        """Words with which the couplet after these may begin: none that they have.

        Each subject has its turn; the first couplet begins with what a listener knows best.
        """
        if not self.subjects:
            return ()
        images = self.subjects[len(poem) % len(self.subjects)].images
        said = "".join(poem)
        return tuple(i for i in images if i not in said) if poem else images[:1]


def lead(word: str) -> str:
    """The words that name the subject of a poem."""
    return f"题“{word}”一首："


class Planner:
    """Finds the subjects of prose."""

    def __init__(self, subjects: Subjects, bits: Callable[[str], float]) -> None:
        """`bits`: the mean bits of the characters of a text, by weights that know verse alone."""
        self._subjects = subjects
        self._bits = bits

    def begin(self, seed: str, may_be_said: Callable[[str], bool]) -> Plan:
        """A poem about the seed; `may_be_said` decides which lead may be spoken."""
        subjects = self._find(seed)
        named = next((s for s in subjects if may_be_said(lead(s.word))), None)
        if named is None:
            return Plan(UNTITLED, ())
        return Plan(lead(named.word), (named, *(s for s in subjects if s is not named)))

    def go_on(self, text: str) -> Plan | None:
        """The poem goes on that a text ends with; None if there is no lead in the text."""
        leads = list(LEAD.finditer(text))
        if not leads:
            return None
        word, said = leads[-1][1], text[leads[-1].end() :]
        return Plan("", self._find(word) if word else (), last_couplets(said))

    def _find(self, seed: str) -> tuple[Subject, ...]:
        """The listed subjects of a seed, or the unlisted word that verse knows best."""
        if listed := self._subjects.find(seed):
            return listed
        runs = self._subjects.unlisted(seed)
        pieces = [run[i : i + 2] for run in runs for i in range(len(run) - 1)][:_MOST_PIECES]
        scored = sorted((self._bits(piece), piece) for piece in pieces)
        return tuple(Subject(p, (p,)) for bits, p in scored[:1] if bits <= _MOST_PIECE_BITS)
