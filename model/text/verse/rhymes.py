"""Rhymes of Chinese verse, by the characters' readings in modern Mandarin."""

from model.text.pattern_file import read_lines


class Rhymes:
    """The groups of rhymes-zh.txt."""

    def __init__(self) -> None:
        lines = enumerate(read_lines("rhymes-zh.txt"))
        self._groups = {character: group for group, line in lines for character in line}

    def is_level(self, character: str) -> bool:
        """True for a character in a level tone, such as regular verse ends couplets with."""
        return character in self._groups

    def rhyme(self, first: str, second: str) -> bool:
        """True for two different characters in level tones that rhyme."""
        group = self._groups.get(first)
        return group is not None and group == self._groups.get(second) and first != second
