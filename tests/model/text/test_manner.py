import json

import pytest

from config.errors import WeightsError
from model.text.manner import SPOKEN, Manner, Opening
from model.text.spoken_form import prepare_seed

WRITTEN = Manner(
    capitals=True,
    question_mark=True,
    openings=(Opening("dear", "A letter.\n\n"), Opening("", "A short story.\n\n")),
    never=("\n", "http"),
    ends_after_sentence=True,
    temperature_factor=0.5,
)


@pytest.mark.parametrize("manner", [SPOKEN, WRITTEN])
def test_a_manner_survives_json(manner: Manner):
    assert Manner.from_json(manner.to_json()) == manner


def test_no_manner_is_that_of_the_weights_of_this_project():
    assert Manner.from_json("{}") == SPOKEN
    assert prepare_seed("Why is the sea salty", SPOKEN) == " why is the sea salty"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 10_000,
        '{"capital": true}',
        '{"capitals": 1}',
        '{"question_mark": "yes"}',
        '{"ends_after_sentence": null}',
        '{"temperature_factor": true}',
        '{"temperature_factor": "0.5"}',
        '{"temperature_factor": 0}',
        '{"temperature_factor": NaN}',
        '{"never": "\\n"}',
        '{"never": [""]}',
        '{"never": [1]}',
        '{"openings": {"": "A story."}}',
        '{"openings": ["A story."]}',
        '{"openings": [{"text": "A story."}]}',
        '{"openings": [{"first_words": "", "text": 1}]}',
        json.dumps({"openings": [{"first_words": "", "text": "a" * 5000}]}),
    ],
)
def test_a_bad_manner_is_refused(content: str):
    with pytest.raises(WeightsError, match="manner of the weights"):
        Manner.from_json(content)


@pytest.mark.parametrize(
    ("seed", "opening"),
    [
        ("dear boss", "A letter.\n\n"),
        (" Dear", "A letter.\n\n"),
        ("dearest", "A short story.\n\n"),
        ("oh dear", "A short story.\n\n"),
    ],
)
def test_the_first_words_choose_the_opening(seed: str, opening: str):
    assert WRITTEN.opening(seed) == opening
    assert SPOKEN.opening(seed) == ""


@pytest.mark.parametrize(
    ("seed", "prepared"),
    [
        ("dear boss", "Dear boss"),
        ("when i was seven", "When I was seven"),
        ("i'm sure that i'd go if i", "I'm sure that I'd go if I"),
        ("why is the sea salty", "Why is the sea salty?"),
        ("  what a   day ", "What a day"),
        ("a merry-go-", "A merry-go-"),
        ("hawaii is", "Hawaii is"),
        ("Robert and i went", "Robert and I went"),
        ("why did Robert go", "Why did Robert go"),
        ("the sea is deep. i know. why is it", "The sea is deep. I know. why is it"),
        ("Is it (i.e. the sea) deep", "Is it (i.e. the sea) deep"),
        ("春 天 来了", "春天来了"),
        ("", ""),
    ],
)
def test_written_weights_get_capitals_and_the_mark_of_a_question(seed: str, prepared: str):
    assert prepare_seed(seed, WRITTEN) == prepared


def test_the_mark_of_a_question_is_left_out_where_it_is_not_wanted():
    assert prepare_seed("why is it", Manner(capitals=True)) == "Why is it"
