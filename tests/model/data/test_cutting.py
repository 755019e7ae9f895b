import pytest

from model.data.cutting import LINES, PARAGRAPHS, SENTENCES, WORDS, cut_text

ENDS = (PARAGRAPHS, LINES, SENTENCES, WORDS)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "The fox ran.\n\nThe hen sat.\n\nIt rained.",
            ["The fox ran.", "The hen sat.", "It rained."],
        ),
        ("Fox.\n\nHen.\n\nIt rained.", ["Fox.\n\nHen.", "It rained."]),
        ("The fox ran. The hen sat.", ["The fox ran.", "The hen sat."]),
        ("Over the hill and away", ["Over the hill", "and away"]),
        (
            "那只狐狸走过雪地没有人看见它后来它在山上",
            ["那只狐狸走过雪地没有人看见它", "后来它在山上"],
        ),
        ("狐狸走过雪地，没有人看见它了吗，后来", ["狐狸走过雪地，", "没有人看见它了吗，后来"]),
        ("a" * 30, ["a" * 14, "a" * 14, "aa"]),
        (" " * 100, []),
        ("", []),
    ],
)
def test_a_text_is_cut_at_the_best_place_there_is(text: str, pieces: list[str]):
    assert cut_text(text, 14, ENDS) == pieces


@pytest.mark.parametrize("part", ["fox ", "狐", "a", " ", "\n", ".", '!" ', "。", ", "])
def test_a_million_of_anything_is_cut_and_loses_nothing(part: str):
    text = part * (1_000_000 // len(part))
    pieces = cut_text(text, 2_000, ENDS)
    assert all(0 < len(piece) <= 2_000 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
