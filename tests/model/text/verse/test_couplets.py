import pytest

from model.text.verse.couplets import is_verse, last_character, last_couplets, line_length

FIVE = "春眠不觉晓，处处闻啼鸟。"
SEVEN = "两个黄鹂鸣翠柳，一行白鹭上青天。"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (FIVE, 5),
        (SEVEN, 7),
        ("借问酒家何处有？牧童遥指杏花村。", 7),
        ("春眠不觉晓，处处闻啼鸟", 0),  # no end
        ("春眠不觉晓，处处闻啼。", 0),
        ("春眠不觉，处处闻啼。", 0),  # of four characters
        ("春眠不觉晓。处处闻啼鸟。", 0),  # two sentences
        ("春眠不觉\ufffd，处处闻啼鸟。", 0),
        (FIVE + FIVE, 0),
        ("", 0),
    ],
)
def test_the_length_of_the_lines_of_a_couplet(text: str, length: int):
    assert line_length(text) == length


@pytest.mark.parametrize(
    ("text", "couplets"),
    [
        (FIVE + FIVE, (FIVE, FIVE)),
        (f"{FIVE}\n{FIVE}", (FIVE, FIVE)),
        (SEVEN + FIVE, (FIVE,)),
        ("来风雨声，" + FIVE, (FIVE,)),  # cut off in front
        ("", ()),
    ],
)
def test_the_couplets_that_a_text_ends_with(text: str, couplets: tuple[str, ...]):
    assert last_couplets(text) == couplets


def test_the_last_character_is_before_the_mark():
    assert last_character(FIVE) == "鸟"
    assert last_character("") == ""


def test_verse_is_told_from_prose():
    poem = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
    prose = "庆历四年春，滕子京谪守巴陵郡。越明年，政通人和，百废具兴，乃重修岳阳楼。"
    chat = "今天天气很好。我们去公园散步吧，顺便买一点水果回来。你觉得怎么样？"
    assert is_verse(poem)
    assert not any(map(is_verse, (prose, chat, "A fox ran. A hen sat.", "")))
