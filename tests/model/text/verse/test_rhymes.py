import pytest

from model.text.pattern_file import read_lines
from model.text.verse.rhymes import Rhymes

RHYMES = Rhymes()


@pytest.mark.parametrize(
    ("first", "second", "rhyme"),
    [
        *(("光", "霜", True), ("流", "楼", True), ("家", "花", True), ("人", "春", True)),
        *(("光", "人", False), ("光", "光", False), ("晓", "鸟", False), ("", "", False)),
    ],
)
def test_level_tones_of_one_group_rhyme(first: str, second: str, rhyme: bool):
    assert RHYMES.rhyme(first, second) is rhyme


def test_oblique_tones_are_not_level():
    assert RHYMES.is_level("花")
    assert not RHYMES.is_level("柳")


def test_each_character_is_in_one_group():
    characters = "".join(read_lines("rhymes-zh.txt"))
    assert len(set(characters)) == len(characters) > 1500
