"""Tells prose from the beginning of a verse, in Chinese: "今天天气很好" from "春眠不觉晓".

Words of modern Chinese are the one sign, and how unlikely the weights, which have read verse alone,
find the characters is the other. `scripts/fit-routing --language zh` counts the seeds that the rule
gets right.
"""

import re
from dataclasses import dataclass

from config.languages import HAN
from model.text.pattern_file import join, read_sections
from model.text.verse.subjects import Subjects

_CHARACTERS = re.compile(f"[{HAN}]")


@dataclass(frozen=True)
class ProseRule:
    """When a seed is prose.

    Attributes:
        limit_bits: mean bits of its characters from which a seed is prose.
        modern_bits: added where it has a modern word.
    """

    limit_bits: float
    modern_bits: float

    def is_prose(self, bits: float, is_modern: bool) -> bool:
        """True for a seed with this mean of the bits of its characters, and modern words or not."""
        return bits + self.modern_bits * is_modern >= self.limit_bits


SHIPPED_RULE = ProseRule(limit_bits=16.0, modern_bits=8.5)
"""For the shipped weights. Lines of verse have 9 bits in the middle; rare characters give 14 or
more to one in a hundred. Verse that has a modern word by chance mostly has fewer than 7.5."""


class ModernWords:
    """Finds words that verse does not have. It compiles its patterns once."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects
        self._patterns = re.compile(join(read_sections("modern-zh.txt")["modern"]))

    def are_in(self, seed: str) -> bool:
        """True if the seed has a modern word, or Chinese and no character of it."""
        return bool(self._patterns.search(seed)) or self._subjects.has_modern_word(seed)


def may_be_prose(seed: str) -> bool:
    """False for a single character, which begins any verse, and for a text that is not Chinese."""
    return len(_CHARACTERS.findall(seed)) > 1
