import pytest

from model.sentences import SentenceSplitter

CASES = [
    ("He ran. She sat. And", ["He ran.", "She sat."], "And"),
    (
        '"Why?" asked the fox. "Go!" he said. The',
        ['"Why?" asked the fox.', '"Go!" he said.'],
        "The",
    ),
    ("Mr. Fox met Dr. Owl. They sang.", ["Mr. Fox met Dr. Owl."], "They sang."),
    ("It cost 3.5 coins. He paid.", ["It cost 3.5 coins."], "He paid."),
    ("No end\nNew line\n", ["No end", "New line"], ""),
    ('He said "no." Then left', ['He said "no."'], "Then left"),
    (". Then he ran. So", ["Then he ran."], "So"),
    (', who was red. "Yes', ["who was red."], '"Yes'),
    ('?" asked Lily. Oh', ["asked Lily."], "Oh"),
    ("... !! \n\n * \n", [], ""),
    ("Wait... what? No! Yes", ["Wait... what?", "No!"], "Yes"),
    (
        "床前明月光，疑是地上霜。舉頭望明月；低頭",
        ["床前明月光，疑是地上霜。", "舉頭望明月；"],
        "低頭",
    ),
    ("他說：「好。」她笑。", ["他說：「好。」"], "她笑。"),
]


@pytest.mark.parametrize(("text", "sentences", "rest"), CASES)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_sentences_do_not_depend_on_how_the_text_arrives(
    text: str, sentences: list[str], rest: str, step: int
):
    splitter = SentenceSplitter()
    found = [s for i in range(0, len(text), step) for s in splitter.feed(text[i : i + step])]
    assert (found, splitter.rest()) == (sentences, rest)


def test_a_sentence_leaves_with_the_first_character_of_the_next():
    splitter = SentenceSplitter()
    assert [splitter.feed(c) for c in "Go. N"] == [[], [], [], [], ["Go."]]


@pytest.mark.parametrize(
    ("text", "finished", "whole_words"),
    [
        ("The end.", "The end.", "The"),
        ("the old sail", "", "the old"),
        ("sail", "", "sail"),
        ('She said "yes!"', 'She said "yes!"', "She said"),
        ("床前明月", "", "床前明月"),
        ("", "", ""),
    ],
)
def test_what_is_left_at_the_limit(text: str, finished: str, whole_words: str):
    splitter = SentenceSplitter()
    splitter.feed(text)
    assert splitter.finished_rest() == finished
    assert splitter.whole_words_of_rest() == whole_words
