"""What may follow a text without being glued to its last word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.text.word_boundary import (
    Boundary,
    advance,
    boundary_after,
    share_of_word_parts,
)
from tests.model.text.test_vocabulary import unicode_text


@pytest.mark.parametrize(
    ("seed", "boundary"),
    [
        (" there was a fish", Boundary.WORD),
        ("chapter 1", Boundary.WORD),
        ("caf\u00e9", Boundary.WORD),
        ("cafe\u0301", Boundary.WORD),
        ("fish\u200d", Boundary.WORD),
        ("fish\u00ad", Boundary.WORD),
        ("snake_", Boundary.WORD),
        ("x²", Boundary.WORD),
        ("рыба", Boundary.WORD),
        ("물고기", Boundary.WORD),
        ("小fish", Boundary.WORD),
        ("第1", Boundary.WORD),
        ("He swam.", Boundary.MARK),
        ("It costs 3.", Boundary.MARK),
        ("Well , ", Boundary.OPEN),
        ("Well ,", Boundary.MARK),
        ("?!", Boundary.MARK),
        ('"Stop!"', Boundary.MARK),
        ("“Stop!”", Boundary.MARK),
        ("He said it (twice)", Boundary.MARK),
        ("Yes, the boys'", Boundary.MARK),
        ("Yes, the boys’", Boundary.MARK),
        ("It went on…", Boundary.MARK),
        ("Now 100%", Boundary.MARK),
        ("Yes, and/", Boundary.MARK),
        ("", Boundary.OPEN),
        (" ", Boundary.OPEN),
        ("He swam.\n", Boundary.OPEN),
        ("She was six-", Boundary.OPEN),
        ("Yes, six‐", Boundary.OPEN),
        ("Yes—", Boundary.OPEN),
        ("Yes –", Boundary.OPEN),
        ('He said, "', Boundary.OPEN),
        ("He said, '", Boundary.OPEN),
        ("He said, “", Boundary.OPEN),
        ("He said, “‘", Boundary.OPEN),
        ("He said (", Boundary.OPEN),
        ("Dijo: ¿", Boundary.OPEN),
        ("武", Boundary.OPEN),
        ("fish 武", Boundary.OPEN),
        ("他走了。", Boundary.OPEN),
        ("他走了……", Boundary.OPEN),
        ("他说：“", Boundary.OPEN),
        ("他说：“好。”", Boundary.OPEN),
        ("《静夜思》", Boundary.OPEN),
        ("さくら", Boundary.OPEN),
        ("サーバー", Boundary.OPEN),
        ("สวัสดี", Boundary.OPEN),
        ("fish🦊", Boundary.OPEN),
    ],
)
def test_the_end_of_a_seed_decides_what_may_follow(seed: str, boundary: Boundary) -> None:
    assert boundary_after(seed) is boundary


GLUED_TO_WORDS = [
    *("erman", "s", "ed", "2", "_name", "é", "рыба", "물", "²"),
    *("'s", "’s", "'", "’", "n't", "`s", "-bone", "-", "‑bone", "–bone", "(es)", "“Yes"),
    *("\u0301", "\ufe0f", "\u200d", "\u00ad", "\u200b"),
    *('."Hello', ")abc", ".5", ",000", "...and", "/h", "@x", ".\u0301", "!s", "”s", '"s', "…s"),
]
GLUED_TO_MARKS = [*("He", "5", "_name", "é", "\u0301", ')"abc', '"Hello', "'s", "”s")]
ALLOWED = [
    *("", " named", "\nHe", "  He", "\u00a0he", ".", ",", "!", "?", '"', "”", "...", "…", ")", ":"),
    *('." He', ', "He', '".', "—", "—he", ".\n", " 's", " 2", " -", "%", "%."),
    *("武", "さ", "サ", "ไ", "，", "。", "「", "（", "🦊", "。He"),
]


@pytest.mark.parametrize("text", GLUED_TO_WORDS)
def test_nothing_is_glued_to_a_word(text: str) -> None:
    assert advance(Boundary.WORD, text) is None


@pytest.mark.parametrize("text", GLUED_TO_MARKS)
def test_no_word_is_glued_to_a_mark(text: str) -> None:
    assert advance(Boundary.MARK, text) is None


@pytest.mark.parametrize("text", ALLOWED)
@pytest.mark.parametrize("boundary", [Boundary.WORD, Boundary.MARK])
def test_new_words_and_marks_may_follow(boundary: Boundary, text: str) -> None:
    assert advance(boundary, text) is not None


@pytest.mark.parametrize("text", ["'", "’ he", "-", "(he", "“He"])
def test_quotation_marks_and_brackets_may_follow_marks(text: str) -> None:
    assert advance(Boundary.MARK, text) is not None


@pytest.mark.parametrize("text", [*GLUED_TO_WORDS, *GLUED_TO_MARKS, *ALLOWED])
def test_anything_may_follow_an_open_end(text: str) -> None:
    assert advance(Boundary.OPEN, text) is Boundary.OPEN


def test_a_word_is_open_once_a_blank_has_come() -> None:
    assert advance(Boundary.WORD, " fish") is Boundary.OPEN
    assert advance(Boundary.WORD, ".") is Boundary.MARK
    assert advance(Boundary.WORD, '."') is Boundary.MARK
    assert advance(Boundary.WORD, '." He') is Boundary.OPEN


@given(begin=st.sampled_from(Boundary), text=unicode_text, at=st.integers(0, 50))
def test_the_text_may_come_in_pieces(begin: Boundary, text: str, at: int) -> None:
    whole = advance(begin, text)
    first = advance(begin, text[:at])
    assert (None if first is None else advance(first, text[at:])) is whole


def test_the_share_of_letters_of_blocks() -> None:
    assert share_of_word_parts(range(0xC0, 0x100)) > 0.9  # Latin with accents, × and ÷
    assert share_of_word_parts(range(0x300, 0x340)) == 1  # accents
    assert share_of_word_parts(range(0x2000, 0x3000)) < 0.5  # punctuation
    assert share_of_word_parts(range(0x6000, 0x7000)) == 0  # Chinese
    assert share_of_word_parts(range(0xAC00, 0xB000)) == 1  # Hangul, which has blanks
    assert share_of_word_parts(range(0xE000, 0xF000)) == 1  # for private use
