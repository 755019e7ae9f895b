import codecs
from pathlib import Path

import pytest

from config.errors import InputError
from model.data.plain_text import decode, unwrapped

HERE = Path("a.txt")
ENGLISH = "He said, “Don’t go – it’s late…” The café by the sea was closed.\n" * 20
FRENCH = (
    "Le renard était déjà là, à côté de l'hôtel; « où vas-tu ? » dit-il. Ça alors, naïve façon.\n"
)
GERMAN = "Der Fuchs ging über die Straße und sagte: „Schöne Grüße!“ Ärger gab es nicht.\n"
SIMPLIFIED = "那只狐狸走过雪地，没有人看见它。后来，它在山上的一个小屋里住了下来。\n"
TRADITIONAL = "那隻狐狸走過雪地，沒有人看見牠。後來，牠在山上的一個小屋裡住了下來。\n"


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        (ENGLISH, "utf-8", ""),
        (ENGLISH, "utf-8-sig", ""),
        (ENGLISH, "utf-16", "UTF-16LE"),
        (ENGLISH, "utf-16-le", "UTF-16LE"),
        (ENGLISH, "utf-16-be", "UTF-16BE"),
        (ENGLISH, "utf-32", "UTF-32LE"),
        (ENGLISH, "cp1252", "Windows-1252"),
        (ENGLISH, "mac_roman", "Mac Roman"),
        (FRENCH, "latin-1", "Windows-1252"),
        (FRENCH, "mac_roman", "Mac Roman"),
        (GERMAN, "cp1252", "Windows-1252"),
        ("The fox ran.\n" * 5_000 + "To the café.", "latin-1", "Windows-1252"),
        (SIMPLIFIED, "utf-16-le", "UTF-16LE"),
        (SIMPLIFIED, "gb18030", "GB18030"),
        (SIMPLIFIED * 100, "gb18030", "GB18030"),
        (TRADITIONAL, "big5", "Big5"),
        (TRADITIONAL, "gb18030", "GB18030"),
        ("Chapter 1\n" * 100 + SIMPLIFIED, "gb18030", "GB18030"),
    ],
)
def test_the_encoding_of_a_text_is_found_and_told(text: str, encoding: str, named: str):
    found = decode(text.encode(encoding), HERE)
    assert found.text == text
    assert found.note == (f"read as {named}" if named else "")


def test_a_few_damaged_bytes_cost_only_themselves():
    found = decode((SIMPLIFIED * 5).encode() + b"\xff\xe4", HERE)
    assert (found.text, found.note) == (
        SIMPLIFIED * 5,
        "read as UTF-8 without 2 damaged bytes",
    )
    found = decode(b"The fox ran. " * 200 + b"\xff", HERE)
    assert (found.text, found.note) == (
        "The fox ran. " * 200,
        "read as UTF-8 without 1 damaged byte",
    )


def test_what_an_encoding_declares_of_itself_is_taken_if_it_fits():
    assert decode("é".encode("latin-1"), HERE, "ISO-8859-1").text == "é"
    assert decode("“é”".encode("cp1252"), HERE, "iso-8859-1").text == "“é”"
    assert decode("镕".encode("gbk"), HERE, "gb2312").text == "镕"
    for wrong in ("utf-7-bit", "rot13", "us-ascii"):
        assert decode("é".encode(), HERE, wrong).text in ("é", "Ã©")


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
        b"\x7fELF\x02\x01\x01" + bytes(500) + b"text",
        bytes(range(256)) * 40,
    ],
)
def test_binary_data_is_no_text(data: bytes):
    with pytest.raises(InputError, match=r"a\.txt holds binary data, no text\."):
        decode(data, HERE)


@pytest.mark.parametrize(
    "data", ["Старый моряк вернулся домой. ".encode("cp1251") * 9, b"Once upon \xff a time"]
)
def test_an_encoding_that_cannot_be_told_is_refused(data: bytes):
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8 at byte \d+; .* iconv"):
        decode(data, HERE)


def test_nul_bytes_and_other_controls_are_left_out():
    text = "The fox ran away over the hill and was never seen again. " * 5
    assert decode(f"\0{text}\7\x1b{text}".encode() + bytes(9_000), HERE).text == text * 2


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\x85", "\u2028", "\v", "\f"])
def test_every_kind_of_line_end_becomes_one(end: str):
    assert decode(end.join(["The fox", "ran", "away"]).encode(), HERE).text == "The fox\nran\naway"


def test_a_paragraph_separator_is_an_empty_line():
    assert decode("The fox.\u2029The hen.".encode(), HERE).text == "The fox.\n\nThe hen."


def test_soft_hyphens_part_no_words():
    assert decode("won\u00adder\u200bful\ufeff".encode(), HERE).text == "wonderful"


def test_a_byte_order_mark_alone_is_an_empty_text():
    assert decode(codecs.BOM_UTF8, HERE).text == ""
    assert decode(b"", HERE).text == ""


def test_wrapped_chinese_is_joined_without_blanks():
    line = "那只狐狸走过雪地没有人看见它" * 4
    assert unwrapped(f"{line}\n{line}\n{line}") == line * 3


def test_a_million_blanks_are_one():
    blanks = " " * 1_000_000
    assert unwrapped(f"The{blanks}fox.\n{blanks}\nThe hen.{blanks}") == "The fox.\n\nThe hen."
    assert unwrapped("\n" * 1_000_000) == ""
