import random

import pytest

from model.text.spoken_form import prepare_seed, with_spoken_opening

STORY = (
    'Once upon a time, there was a girl named Lily. "Why is the sea salty?" she asked. '
    "The old sailor laughed out loud and told her a very long tale of a mill at the bottom of the "
    "sea. He said that it had been grinding salt for a hundred years, day and night. Then Lily "
    "went home, had her supper, and dreamt of the mill until the morning came at last."
)


@pytest.mark.parametrize(
    ("seed", "prepared"),
    [
        ("the old sailor", " the old sailor"),
        ("  my grandmother's kitchen ", " my grandmother's kitchen"),
        ("Once upon a time there was a fox", " once upon a time there was a fox"),
        ("The fox slept. It", "The fox slept. It"),
        ("", ""),
        ("   ", ""),
        ("春 风 又 绿", "春风又绿"),
        ("…", ""),
        ("a fisher-", " a fisher-"),
        ("a merry-go-", " a merry go-"),
        ("a fish -", " a fish"),
        ("a fish--", " a fish"),
        ("-", ""),
    ],
)
def test_seeds_become_what_training_has_shown(seed: str, prepared: str):
    assert prepare_seed(seed) == prepared


def test_an_opening_is_spoken_and_the_rest_is_untouched():
    for seed in range(200):
        text = with_spoken_opening(STORY, random.Random(seed))
        tail = text[-100:]
        assert STORY.endswith(tail)
        head = text.split(",")[0].split(".")[0].split("?")[0].split('"')[0]
        words = head.split()
        assert head.startswith(" ")
        assert words[0] == words[0].lower()
        assert text.count('"') % 2 == 0


def test_openings_come_from_the_start_and_from_other_sentences():
    openings = {with_spoken_opening(STORY, random.Random(seed))[:5] for seed in range(200)}
    assert {" once", " why ", " the "} <= openings


def test_a_short_document_stays_as_it_is():
    assert with_spoken_opening("The end.", random.Random(1)) == "The end."
