"""The table of languages, and the gap between sentences of either script."""

from importlib.resources import files
from typing import get_args, get_type_hints

import pytest

from config.languages import LANGUAGES, is_han, is_unspaced, join_sentences, sentence_gap
from config.settings import Settings


def test_the_table_has_the_languages_that_can_be_set() -> None:
    assert set(LANGUAGES) == set(get_args(get_type_hints(Settings)["language"]))
    assert all(code == language.code for code, language in LANGUAGES.items())


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_every_settings_file_is_in_the_package(language: object) -> None:
    name = getattr(language, "settings_file", None)
    assert name is None or files("config").joinpath(name).is_file()


@pytest.mark.parametrize(
    ("sentences", "joined"),
    [
        (["He sat.", "She ran."], "He sat. She ran."),
        (["床前明月光，", "疑是地上霜。"], "床前明月光，疑是地上霜。"),
        (["Hello.", "你好。"], "Hello.你好。"),
        (["你好。", "Hello."], "你好。Hello."),
        (["“Come in,” he said to René", "and left."], "“Come in,” he said to René and left."),
        (["“Stop!”", "“Why?”"], "“Stop!” “Why?”"),
        (["“你好。”", "“再见。”"], "“你好。”“再见。”"),
        (["他走了……", "她笑了。"], "他走了……她笑了。"),
        (["", "Only one."], "Only one."),
        ([], ""),
        (["She was six-", "year-old Anna."], "She was six-year-old Anna."),
        (["He stopped -", "and ran."], "He stopped - and ran."),
        (["He said, “", "Stop!”"], "He said, “Stop!”"),
        (['He said, "', 'Stop!"'], 'He said, "Stop!"'),
        (['"Stop!"', "he said."], '"Stop!" he said.'),
        (["The boys'", "boat sank."], "The boys' boat sank."),
        (["a fish (", "a big one)"], "a fish (a big one)"),
    ],
)
def test_one_blank_between_sentences_and_none_beside_chinese(
    sentences: list[str], joined: str
) -> None:
    assert join_sentences(sentences) == joined


def test_the_gap_needs_two_texts() -> None:
    assert sentence_gap("", "a") == sentence_gap("a", "") == ""


@pytest.mark.parametrize(
    ("text", "expected"), [("武", True), ("a武", True), ("é", False), ("", False)]
)
def test_chinese_characters_are_known(text: str, expected: bool) -> None:
    assert is_han(text) is expected


@pytest.mark.parametrize("character", "武々〇さサー\uff76ไทยລາວខမཀ\U00020000\U0003134f")
def test_letters_of_scripts_without_blanks_are_known(character: str) -> None:
    assert is_unspaced(character)


@pytest.mark.parametrize("character", "aé1_я한अا\uff21。' \n\u0301\ud800\x00")
def test_all_others_need_a_blank(character: str) -> None:
    assert not is_unspaced(character)
