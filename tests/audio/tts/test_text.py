"""Text is cleaned, and cut at blanks."""

import pytest

from audio.tts.text import clean_text, split_text


def test_clean_text_keeps_what_can_be_spoken() -> None:
    assert clean_text(" a\n\tb\x00c \u200d ü你\ud83d ") == "a b c \u200d ü你"


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
