import re
from pathlib import Path

import pytest

from model.text.pattern_file import read_sections
from model.text.verse.prose import ModernWords, ProseRule, may_be_prose
from model.text.verse.subjects import Subjects

SUBJECTS = Subjects()
MODERN = ModernWords(SUBJECTS)


@pytest.mark.parametrize(
    "seed",
    [
        "今天天气很好",
        "我们去爬山",
        "她睡了",
        "你好吗",
        "弟弟骑自行车",
        "飞机",
        "有3只鸟",
        "明月app",
    ],
)
def test_modern_words_are_found(seed: str):
    assert MODERN.are_in(seed)


@pytest.mark.parametrize(
    "seed",
    [
        *("春眠不觉晓", "两个黄鹂鸣翠柳", "了却君王天下事", "他乡遇故知", "我见青山多妩媚"),
        *("何处是归程", "的卢飞快", "老人七十仍沽酒", "敲门试问野人家", "大海", "母亲", "吟哦不辍"),
    ],
)
def test_words_that_verse_has_too_are_no_sign(seed: str):
    assert not MODERN.are_in(seed)


def test_a_modern_word_makes_fewer_bits_prose():
    rule = ProseRule(limit_bits=13.0, modern_bits=5.5)
    assert not rule.is_prose(7.0, is_modern=True)
    assert rule.is_prose(8.0, is_modern=True)
    assert not rule.is_prose(12.0, is_modern=False)
    assert rule.is_prose(13.0, is_modern=False)


@pytest.mark.parametrize(
    ("seed", "may"), [("春", False), ("妈妈", True), ("hello", False), ("", False), ("我，", False)]
)
def test_a_single_character_begins_a_verse(seed: str, may: bool):
    assert may_be_prose(seed) is may


def test_each_pattern_can_match():
    for lines in read_sections("modern-zh.txt").values():
        assert lines
        assert all(re.compile(line) for line in lines)


def test_the_seeds_are_parted_and_each_is_there_once():
    file = Path(__file__).parents[2] / "inference/verse-seeds.tsv"
    rows = [line.split("\t") for line in file.read_text("utf-8").splitlines()]
    assert {(kind, answer) for kind, answer, _ in rows} == {
        *(("fit", "verse"), ("fit", "prose"), ("kept", "verse"), ("kept", "prose"))
    }
    assert len({seed for _, _, seed in rows}) == len(rows) > 250
