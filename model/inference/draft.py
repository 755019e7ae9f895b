"""The continuation that is being drawn: splits it into parts to speak, and rewinds refused ones.

Ids and text are accepted part by part: the first clause, then sentence after sentence. A sentence
is complete only with the first character of the next one, so the newest ids often belong to a part
that is not accepted yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model.text.sentences import SentenceSplitter
from model.text.vocabulary import TextDecoder


@dataclass(frozen=True)
class Part:
    """A part of a reply that can be spoken.

    Attributes:
        text: without outer spaces and leading marks; it is not empty.
        raw: its sentence as drawn, from its beginning, with the marks around it.
        whole: False for the first clause of a sentence.
        last: True if nothing follows.
    """

    text: str
    raw: str
    whole: bool
    last: bool = False


class Draft:
    """The ids drawn so far, the text that they spell, and how much of it is accepted."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """`pieces` are the bytes of each id of the vocabulary."""
        self._pieces = pieces
        self._ids: list[int] = []
        self._starts: list[int] = []  # of each id in the text, in characters
        self._text = ""
        self._decoder = TextDecoder(pieces)
        self._splitter = SentenceSplitter()
        self._split = 0  # characters given to the splitter
        self._sentence = 0  # where the sentence begins that is drawn now
        self._accepted = 0  # characters, more than `_sentence` after a first clause

    def feed(self, token: int) -> None:
        """Append this id."""
        self._starts.append(len(self._text))
        self._ids.append(token)
        self._text += self._decoder.feed(token)

    def next_part(self) -> Part | None:
        """The next part that is complete; None if more ids are needed."""
        while self._split < len(self._text):
            sentences = self._splitter.feed(self._text[self._split])  # one, or none
            self._split += 1
            if sentences:
                return Part(sentences[0], self._raw(), whole=True)
            if clause := self._splitter.first_clause():
                return Part(clause, self._raw(), whole=False)
        return None

    def rest(self, *, ended: bool, alone: bool) -> Part | None:
        """What remains where no id follows; None if that is no word.

        Args:
            ended: the text has ended here; else it is cut off at the limit of ids.
            alone: no sentence comes before it. An unfinished one is better than silence, but only
                than silence.
        """
        if ended:
            text = self._splitter.rest()
        else:
            text = self._splitter.whole_words_of_rest() if alone else self._splitter.finished_rest()
        return Part(text, self._text[self._sentence :], whole=True, last=True) if text else None

    def accept(self, part: Part) -> None:
        """Keep the part that was returned last: `rewind` will not go behind it."""
        self._accepted = len(self._text) if part.last else self._consumed
        if part.whole:
            self._sentence = self._accepted

    def rewind(self) -> list[int]:
        """Drop the ids behind the accepted text; returns the others.

        An id that spells the end of the accepted text and the beginning of the next stays.
        """
        end = len(self._text[: self._accepted].rstrip())
        count = next((i for i, start in enumerate(self._starts) if start >= end), len(self._ids))
        self._ids, self._starts = self._ids[:count], self._starts[:count]
        self._decoder = TextDecoder(self._pieces)
        self._text = "".join(map(self._decoder.feed, self._ids))
        begun = self.accepted
        self._accepted = min(self._accepted, len(self._text))
        self._sentence = min(self._sentence, self._accepted)
        self._splitter = SentenceSplitter(begun=begun)
        self._split = self._accepted
        return list(self._ids)

    @property
    def accepted(self) -> bool:
        """True if a part has been accepted."""
        return self._accepted > 0

    @property
    def _consumed(self) -> int:
        """Where the part returned last ends in the text, in characters."""
        return self._split - len(self._splitter.buffered)

    def _raw(self) -> str:
        return self._text[self._sentence : self._consumed]
