"""Finds what a seed of modern Chinese is about, and what classical verse says of it.

The lists in images-zh.txt have both: 妈妈 is 慈母 in verse, 手机 comes nearest to 音书 (tidings).
Nothing is segmented: the longest listed words are taken, from left to right.
"""

import re
from dataclasses import dataclass

from config.languages import HAN
from model.text.pattern_file import join, read_sections


@dataclass(frozen=True)
class Subject:
    """A subject of a seed.

    Attributes:
        word: in the words of the seed.
        images: words with which lines of verse about it begin, the plainest first.
    """

    word: str
    images: tuple[str, ...]


class Subjects:
    """The lists of images-zh.txt; reading them takes some milliseconds."""

    def __init__(self) -> None:
        sections = read_sections("images-zh.txt")
        self._images = {
            word: tuple(images.split())
            for section in ("subjects", "weak")
            for words, images in (line.split(":") for line in sections[section])
            for word in words.split()
        }
        self._weak = {w for line in sections["weak"] for w in line.partition(":")[0].split()}
        decoys = [word for line in sections["none"] for word in line.split()]
        longest_first = sorted([*self._images, *decoys], key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, longest_first)))
        known = {image for images in self._images.values() for image in images}
        known.update(word for line in sections["known-to-verse"] for word in line.split())
        self._modern = {w for w in self._images if len(w) > 1 and w not in known}
        self._empty = re.compile(join(read_sections("modern-zh.txt")["empty"]))

    def has_modern_word(self, seed: str) -> bool:
        """True if a listed word of two characters or more is none of verse."""
        return any(match.group() in self._modern for match in self._words.finditer(seed))

    def find(self, seed: str) -> tuple[Subject, ...]:
        """The listed subjects of a seed in their order, the weak ones last; each once."""
        found = dict.fromkeys(match.group() for match in self._words.finditer(seed))
        words = [word for word in found if word in self._images]
        words.sort(key=lambda word: word in self._weak)
        return tuple(Subject(word, self._images[word]) for word in words)

    def unlisted(self, seed: str) -> tuple[str, ...]:
        """The runs of characters between the words that say nothing of a subject."""
        rest = self._empty.sub(" ", seed)
        return tuple(re.findall(f"[{HAN}]+", rest))
