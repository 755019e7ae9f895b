import pytest

from model.text.pattern_file import read_sections
from model.text.verse.couplets import line_length
from model.text.verse.subjects import Subjects

SUBJECTS = Subjects()


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        ("妈妈做了一个蛋糕", ["妈妈", "蛋糕"]),
        ("下雨天", ["下雨天"]),  # the longest
        ("昨天晚上我梦见了外婆", ["梦见", "外婆", "晚上"]),  # the weak one last
        ("你相信世界上有鬼吗", ["世界", "鬼"]),  # 信 is in another word
        ("妈妈和妈妈", ["妈妈"]),
        ("怎么办", []),
    ],
)
def test_the_listed_subjects_are_found(seed: str, words: list[str]):
    assert [subject.word for subject in SUBJECTS.find(seed)] == words


def test_a_subject_has_the_words_of_verse_for_it():
    (mother,) = SUBJECTS.find("我的妈妈")
    assert mother.images[0] == "慈母"


@pytest.mark.parametrize(
    ("seed", "modern"),
    [("手机", True), ("山上", False), ("春天", False), ("我有手机", True), ("雨", False)],
)
def test_words_that_verse_does_not_have_are_known(seed: str, modern: bool):
    assert SUBJECTS.has_modern_word(seed) is modern


def test_what_has_no_subject_of_its_own_is_left_out():
    assert SUBJECTS.unlisted("你叫什么名字") == ("名字",)
    assert SUBJECTS.unlisted("我们去过") == ()


def test_the_lists_hold_each_word_once_and_images_that_a_line_can_begin_with():
    sections = read_sections("images-zh.txt")
    assert set(sections) == {"subjects", "weak", "none", "known-to-verse"}
    lines = [line.split(": ") for name in ("subjects", "weak") for line in sections[name]]
    words = [word for words, _ in lines for word in words.split()]
    words += [word for line in sections["none"] for word in line.split()]
    assert sorted(set(words)) == sorted(words)
    for _, images in lines:
        found = images.split()
        assert len(set(found)) == len(found) > 0
        assert all(line_length(f"{image:春<5}，春眠不觉晓。") == 5 for image in found)
