"""Text is cleaned, and cut at the best places."""

import time

import pytest

from audio.tts.text import (
    clean_text,
    ends_clause,
    halve,
    split_clauses,
    split_scripts,
    split_text,
    split_until,
)

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAGS = "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7"
ODD = {
    "control codes": "\x00\x1b\x07",
    "halves of characters": "\ud83d\udc00",
    "combining marks": "e" + "\u0301\u0316" * 20,
    "emoji": f"\U0001f600{FAMILY}{FLAGS}\U0001f44d\U0001f3fd",
    "zero width": "a\u200b\u200c\u200d\u2060\ufeff",
    "brackets": "[[(<{",
    "digits": "1234567890",
    "one letter": "a",
    "address": "https://example.com/a?b=c&d=%20",
    "Thai": "สวัสดีครับ",
    "Arabic": "مرحبا\u202e",
    "Indic": "नमस्ते",
    "mixed": "a1春é\u0301ก\U0001f600",
    "blanks": " \t\u2003\n",
}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" a\n\tb\x00c \u200d ü你\ud83d ", "a b c \u200d ü你"),
        ("\ufeffwon\u00adder\u2060ful \u202eword\u202c", "wonderful word"),
        ("สวัสดี\u200bครับ", "สวัสดี ครับ"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (f"{FAMILY} {FLAGS}", f"{FAMILY} {FLAGS}"),
        ("第１２章，ＡｂＣ！", "第12章，AbC！"),
        ("٣٤ १२ ۵ 𝟗 ² ½ ①", "34 12 5 9 ² ½ ①"),
    ],
)
def test_clean_text_keeps_what_can_be_spoken(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@pytest.mark.parametrize("kind", ODD)
def test_cleaning_and_cutting_take_linear_time(kind: str) -> None:
    def seconds(length: int) -> float:
        text = (ODD[kind] * length)[:length]
        begin = time.process_time()
        for piece in split_text(clean_text(text)):
            split_until(piece, lambda part: len(part) <= 50)
        return time.process_time() - begin

    assert seconds(50_000) < 40 * max(min(seconds(5_000) for _ in range(3)), 0.002)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("one two", ["one two"]),
        ("one two three", ["one two", "three"]),
        ("onetwothree four", ["onetwoth", "ree four"]),
        ("onetwoth four", ["onetwoth", "four"]),
    ],
)
def test_split_text_cuts_at_blanks(text: str, pieces: list[str]) -> None:
    assert split_text(text, limit=8) == pieces


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("a b. c, d e f", ["a b.", "c, d e f"]),
        ("he said “no, no.” She went on, on", ["he said “no, no.”", "She went on, on"]),
        ("and then Mr. Fox, Mrs. Fox ran", ["and then Mr. Fox,", "Mrs. Fox ran"]),
        ("it is No. 5, so Capt. Cook ran", ["it is No. 5,", "so Capt. Cook ran"]),
        ("one two, three four", ["one two,", "three four"]),
        ("one two three four", ["one two", "three four"]),
        ("春眠不觉晓，处处闻啼鸟。夜来风雨声", ["春眠不觉晓，处处闻啼鸟。", "夜来风雨声"]),
        ("春眠不觉晓，处处闻啼鸟", ["春眠不觉晓，", "处处闻啼鸟"]),
        ("床前看月光的地上霜是", ["床前看月光的", "地上霜是"]),
        ("一二三四五六七八年的", ["一二三四五六七八", "年的"]),
        ("example.com/find/it", ["example.com/", "find/it"]),
        ("paid $1,299.99 then", ["paid $1,299.99", "then"]),
        ("123456,7890.12345 x", ["123456,7890.12345", "x"]),
        ("1234567890", ["1234567", "890"]),
        ("a", []),
        ("ab", ["a", "b"]),
        ("", []),
    ],
)
def test_it_halves_at_the_best_place(text: str, halves: list[str]) -> None:
    assert halve(text) == halves


@pytest.mark.parametrize(
    "whole",
    ["e\u0301\u0316", FAMILY, FLAGS[:2], "\U0001f44d\U0001f3fd", "क्षि", "เก", "กำ", "1,299.99"],
)
def test_no_cut_breaks_a_number_or_a_character(whole: str) -> None:
    for length in range(4, 40):
        for piece in split_text(f"{'x' * (length // 2)}{whole}{'x' * length}", limit=length + 4):
            assert whole in piece or not set(whole) & set(piece)


@pytest.mark.parametrize("kind", ODD)
def test_the_pieces_make_the_whole(kind: str) -> None:
    text = clean_text((ODD[kind] * 3000)[:3000])
    pieces = split_until(text, lambda piece: len(piece) <= 40)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert all(0 < len(piece) <= 40 for piece in pieces)
    assert all(len(piece) <= 100 for piece in split_text(text, limit=100))


@pytest.mark.parametrize(
    ("text", "ends"),
    [("one,", True), ("一。", True), ("“no.”", True), ("one", False), ("one-", False), ("", False)],
)
def test_a_pause_follows_punctuation(text: str, ends: bool) -> None:
    assert ends_clause(text) is ends


def test_a_text_is_cut_at_the_border_of_scripts() -> None:
    def is_foreign(character: str) -> bool:
        return character.isalpha() and not character.isascii()

    assert split_scripts("abc (狐狸) def", is_foreign) == ["abc", "(狐狸)", "def"]
    assert split_scripts("Привет, мир! Hello, мир", is_foreign) == ["Привет, мир!", "Hello,", "мир"]


def test_clauses_are_not_too_short_and_sentences_are_whole() -> None:
    assert split_clauses("Yes, he said, and went to bed.", 10) == [
        "Yes, he said,",
        "and went to bed.",
    ]
    assert split_clauses("So it was, too. He left.", 10) == ["So it was, too.", "He left."]
    assert split_clauses("小狐狸回家了，天黑了。晚安！", 4) == [
        "小狐狸回家了，",
        "天黑了。",
        "晚安！",
    ]
    assert split_clauses("It costs 1,299.99 in all, they say.", 10) == [
        "It costs 1,299.99 in all,",
        "they say.",
    ]
    assert split_clauses("", 10) == split_clauses("  ", 10) == []
