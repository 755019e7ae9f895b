import random

import pytest

from model.teacher.first_person import MIN_CHARACTERS, tell_in_first_person

MORE = "I played with the ball all day long. " * 6
MORE_HE = MORE.replace("I ", "He ")


def told(story: str, seed: int = 1) -> str | None:
    return tell_in_first_person(story, random.Random(seed))


def tellings(story: str) -> set[str]:
    return {text for seed in range(60) if (text := told(story, seed))}


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        ("Once there was a boy named Tim. He had a dog. ", "I had a dog."),
        ("Once upon a time, there was a little boy named Tim who ran. ", "I ran."),
        ("Once upon a time, there lived a boy who was sad. ", "I was sad."),
        ("Once there was a boy named Tim. He gave Tim's ball to Tim. ", "I gave my ball to me."),
        ("Once there was a boy named Tim. He ran. Tim and his mom sang. ", "My mom and I sang."),
        ("Once there was a boy named Tim. He saw his mom and they sang. ", ""),
        ('Once there was a boy named Tim. He said, "He is here." ', 'I said, "He is here."'),
        ("Once there was a boy named Tim. He sat when Tim heard him. ", "when I heard me."),
    ],
)
def test_the_child_becomes_the_narrator(story: str, expected: str):
    found = tellings(story + MORE_HE)
    if expected:
        assert found
        assert all(expected in text and MORE.strip() in text for text in found)
    else:
        assert not found


def test_her_is_an_object_or_a_possessive():
    story = (
        "Once there was a girl named Mia. She had her hat. A dog saw her. The cat bit her in fun. "
    )
    story += MORE.replace("I ", "She ")
    (text,) = {text for text in tellings(story) if text.startswith("I ")}
    assert text.startswith("I had my hat. A dog saw me. The cat bit me in fun. I played")


def test_it_ends_before_somebody_else_whom_a_pronoun_could_mean():
    story = f"Once there was a boy named Tim. {MORE_HE}His dad came. He was tall."
    assert {text.count("dad") for text in tellings(story)} == {0}
    assert any("I played" in text for text in tellings(story))


@pytest.mark.parametrize(
    "story",
    [
        f"Once there was a dog named Rex. {MORE_HE}",
        f"Once there was a boy named Tim. He likes dogs. {MORE_HE}",
        "Once there was a boy named Tim. He had a dog.",
    ],
)
def test_others_are_left_out(story: str):
    assert told(story) is None


def test_many_begin_with_an_opening_as_users_speak_it():
    found = tellings(f"Once there was a boy named Tim. {MORE_HE}")
    assert any(text.startswith("When I was ") and " years old, I played" in text for text in found)
    assert any(text.startswith("My name is Tim. I played") for text in found)
    assert any(text.startswith("I played") for text in found)
    assert all(len(text) >= MIN_CHARACTERS for text in found)
