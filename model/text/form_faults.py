"""Finds sentences that must not be spoken because of their form; English and Chinese.

Language models learn from the web: they fall into an assistant's talk, lists, headings, links, code
and other people's addresses, or say a sentence again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from config.languages import HAN
from model.text.pattern_file import join, read_sections

_LONG_RUN_WORDS = 8
_LONG_RUN_HAN_CHARACTERS = 7  # a line of a poem
_MIN_SENTENCE_WORDS = 4  # shorter sentences may be said again: "Yes, I will."
_MIN_SENTENCE_HAN_CHARACTERS = 5
_MAX_STUTTER_WORDS = 8
_CONTEXT_CHARACTERS = 2000  # before the sentence, in which repetitions are looked for
_MAX_TITLE_WORDS = 9

_WORDS = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？；\n]+")
_COMPLETE = re.compile(r"[.!?…。！？；，,:：;—\"'”’」』)）]\s*$")


@dataclass(frozen=True)
class Candidate:
    """A sentence, or the first clause of the first one, that is to be spoken.

    Attributes:
        seed: the text that the reply continues.
        said: what of the reply has been spoken, without a clause that `raw` begins with.
        raw: the sentence as drawn, with the marks and line breaks around it.
        whole: False for a first clause, whose rest is not drawn yet.
        last: True if the text has ended with it.
    """

    seed: str
    said: str
    raw: str
    whole: bool = True
    last: bool = False

    @property
    def before(self) -> str:
        """The text before the sentence."""
        return f"{self.seed} {self.said}".strip()


class FormCheck:
    """Finds faults of form in sentences. It compiles its patterns once, in 0.05 s."""

    def __init__(self) -> None:
        self._patterns = {
            kind: re.compile(join(lines), re.IGNORECASE | re.MULTILINE)
            for kind, lines in read_sections("form.txt").items()
        }

    def __call__(self, candidate: Candidate) -> str | None:
        """The kind of a fault: a section of form.txt, "break" or "loop"; None if there is none."""
        for kind, pattern in self._patterns.items():
            if pattern.search(candidate.raw):
                return kind
        if candidate.whole and _is_title(candidate.raw):
            return "heading"
        if candidate.whole and _is_broken_off(candidate):
            return "break"
        return "loop" if _loops(candidate) else None


def _is_title(raw: str) -> bool:
    """True for a line of capitalised words without an end mark: "The Old House"."""
    words = raw.split()
    return _ends_line_unfinished(raw) and 2 <= len(words) <= _MAX_TITLE_WORDS and raw.istitle()


def _is_broken_off(candidate: Candidate) -> bool:
    """True for a single word that is the whole reply, or a line without an end mark."""
    alone = candidate.last and not candidate.said
    words = len(_WORDS.findall(candidate.raw))
    return words <= 1 and (alone or _ends_line_unfinished(candidate.raw))


def _ends_line_unfinished(raw: str) -> bool:
    """True if a line break, and no mark, ends the sentence."""
    return raw.rstrip(" \t").endswith("\n") and not _COMPLETE.search(raw.strip())


def _loops(candidate: Candidate) -> bool:
    """True if the sentence, a long run of its words, or words in a row are said again."""
    words = _words(candidate.raw)
    before = candidate.before[-_CONTEXT_CHARACTERS:]
    return _stutters(words) or _repeats_run(before, words) or _repeats_sentence(before, words)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(text)]


def _stutters(words: list[str]) -> bool:
    """True if one word comes four times in a row, or a run of two to eight words three times."""
    for length in range(1, _MAX_STUTTER_WORDS + 1):
        needed = (4 if length == 1 else 3) * length - length  # words equal to those `length` back
        equal = 0
        for word, earlier in zip(words[length:], words, strict=False):
            equal = equal + 1 if word == earlier else 0
            if equal == needed:
                return True
    return False


def _repeats_run(before: str, words: list[str]) -> bool:
    """True if a long run of the words occurs in the text before, or twice in the sentence."""
    size = _LONG_RUN_HAN_CHARACTERS if _mostly_han(words) else _LONG_RUN_WORDS
    runs = list(_runs(words, size))
    distinct = set(runs)
    return len(distinct) < len(runs) or (
        bool(distinct) and not distinct.isdisjoint(_runs(_words(before), size))
    )


def _runs(words: list[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def _repeats_sentence(before: str, words: list[str]) -> bool:
    """True if the text before has a sentence of the same words."""
    minimum = _MIN_SENTENCE_HAN_CHARACTERS if _mostly_han(words) else _MIN_SENTENCE_WORDS
    if len(words) < minimum:
        return False
    return any(_words(sentence) == words for sentence in _SENTENCE_END.split(before))


def _mostly_han(words: list[str]) -> bool:
    return sum(len(word) == 1 and not word.isascii() for word in words) > len(words) / 2
