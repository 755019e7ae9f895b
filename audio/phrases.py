"""Trigger phrases as the user writes them, turned into words the recogniser knows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audio.near_words import similar
from config.errors import ConfigError


@dataclass(frozen=True)
class Phrase:
    """A trigger phrase: as written in the settings, and as the words of the recogniser."""

    text: str
    words: tuple[str, ...]


def parse_phrases(
    texts: Sequence[str],
    knows: Callable[[str], bool],
    vocabulary: Callable[[], list[str]],
    key: str = "trigger.phrases",
) -> list[Phrase]:
    """Split each phrase into known words; case and punctuation do not matter.

    `key` is the setting that holds them.

    Raises:
        ConfigError: a phrase is empty or has a word that the model does not know.
    """
    phrases = []
    for text in texts:
        words: list[str] = []
        for piece in re.findall(r"[\w'’-]+", text.lower()):
            found = _segment(piece.replace("’", "'"), knows)
            if not found:
                raise ConfigError(_unknown(key, text, piece, vocabulary()))
            words += found
        if not words:
            raise ConfigError(f'{key}: "{text}" has no word to listen for.')
        phrases.append(Phrase(text, tuple(words)))
    return phrases


def _segment(piece: str, knows: Callable[[str], bool]) -> list[str]:
    """The piece itself, or, in a script without spaces, its longest known words from the left."""
    if knows(piece):
        return [piece]
    if piece.isascii():
        return []
    words, at = [], 0
    while at < len(piece):
        ends = range(len(piece), at, -1)
        end = next((end for end in ends if knows(piece[at:end])), None)
        if end is None:
            return []
        words.append(piece[at:end])
        at = end
    return words


def _unknown(key: str, text: str, word: str, vocabulary: list[str]) -> str:
    close = similar(word, vocabulary, 3)
    hint = f" (similar words it knows: {', '.join(close)})" if close else ""
    return (
        f'{key}: the Vosk model does not know the word "{word}" of "{text}"{hint}; '
        f"choose another phrase."
    )


def find(phrase: Sequence[str], words: Sequence[str]) -> int:
    """Where the phrase begins in the words for the last time; -1 where it does not."""
    for at in range(len(words) - len(phrase), -1, -1):
        if list(words[at : at + len(phrase)]) == list(phrase):
            return at
    return -1
