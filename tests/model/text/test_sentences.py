import time

import pytest

from model.text.sentences import SentenceSplitter, within_speech

CASES = [
    ("He ran. She sat. And", ["He ran.", "She sat."], "And"),
    (
        '"Why?" asked the fox. "Go!" he said. The',
        ['"Why?" asked the fox.', '"Go!" he said.'],
        "The",
    ),
    ("Mr. Fox met Dr. Owl. They sang.", ["Mr. Fox met Dr. Owl."], "They sang."),
    ("Lt. Dan met Capt. Cook. They", ["Lt. Dan met Capt. Cook."], "They"),
    ("It was No. 5. He said: No. Then", ["It was No. 5.", "He said: No."], "Then"),
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


@pytest.mark.parametrize(
    ("text", "clause", "rest"),
    [
        ("and the little fox, who was red", "and the little fox,", "who was red"),
        ("and so, the little fox; it", "and so, the little fox;", "it"),
        ('"I am a big bear," said', '"I am a big bear,"', "said"),
        (", and the old man, he", "and the old man,", "he"),
        ("the price was 3,000 coins", "", "the price was 3,000 coins"),
        ("and so, it", "", "and so, it"),
        ("春江潮水連，海", "春江潮水連，", "海"),
        ("春江，海", "", "春江，海"),
    ],
)
def test_the_first_clause_can_be_taken_before_its_sentence_ends(
    text: str, clause: str, rest: str
) -> None:
    splitter = SentenceSplitter()
    assert splitter.feed(text) == []
    assert splitter.first_clause() == clause
    assert splitter.rest() == rest
    splitter.feed(" and then it slept for long, they say")
    if clause:
        assert splitter.first_clause() == ""


def test_no_clause_is_taken_after_a_sentence() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("He ran. And the little fox, who") == ["He ran."]
    assert splitter.first_clause() == ""


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ('The daughter said, "Yes!', True),
        ('The daughter said, "Yes! I will."', False),
        ('"Hello," said the fox. "Who', True),
        ('you will be a puppy." Lily was happy.', False),
        ("The old man's hat blew away.", False),
        ('He said, "I am “Max”." Then', False),
        ("“Yes!", True),
        ("春眠不觉晓。", False),
    ],
)
def test_an_open_quotation_is_seen(text: str, open_: bool):
    assert within_speech(text) is open_


@pytest.mark.parametrize("text", [".", "。", "Mr. "])
def test_a_long_run_of_marks_takes_no_time(text: str) -> None:
    splitter = SentenceSplitter()
    begin = time.process_time()
    for character in text * (1000 // len(text)):
        splitter.feed(character)
    assert time.process_time() - begin < 1
