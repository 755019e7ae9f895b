import pytest

from model.text.manner import SPOKEN, Manner
from model.text.orthography.names import names_in, with_names
from model.text.spoken_form import prepare_seed

PIECES = [b" the", b" Paris", b" John", b" hill", b"Rome", b" Hill", b" Mr", b" CIA", b"\xe9", b""]
PIECES += [b" %d" % number for number in range(20)] + [b" john", b" Ro\xcc", b" \xc3\x89mile"]


def test_a_vocabulary_knows_the_names_that_it_merges_with_a_capital_first():
    found = names_in(PIECES)
    assert {"paris", "john", "émile"} <= found
    assert not {"rome", "hill", "mr", "cia", "the"} & found


@pytest.mark.parametrize(
    ("seed", "prepared"),
    [
        ("last summer john and i went to paris", "Last summer John and I went to Paris"),
        ("paris's best hill", "Paris's best hill"),
        ("is new york in the united states", "Is New York in the United States?"),
        ("a new idea for john", "A new idea for John"),
        ("Robert saw paris", "Robert saw paris"),  # typed, as its writer wants it
        ("he saw paris. then john", "He saw paris. then john"),
    ],
)
def test_names_in_spoken_seeds_are_capital(seed: str, prepared: str):
    manner = Manner(capitals=True, question_mark=True)
    assert prepare_seed(seed, manner, names_in(PIECES)) == prepared


def test_weights_of_the_spoken_manner_get_lower_case():
    assert prepare_seed("new york and paris", SPOKEN, names_in(PIECES)) == " new york and paris"


def test_names_stay_within_their_words():
    assert with_names("comparison of parisians with paris", {"paris"}) == (
        "comparison of parisians with Paris"
    )
