"""The shipped weights are worth hearing: small samples of what the model card counts."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from config.languages import join_sentences
from config.load import load
from model.checkpoints.store import find_weights
from model.checkpoints.weights_file import load_weights
from model.inference.generator import TextGenerator, load_generator
from model.inference.loading import generator_options
from model.inference.quantization import choose_format


def shipped(language: str) -> TextGenerator:
    settings = load(flags=[f"language={language}"]).settings
    return load_generator(find_weights(language, None), generator_options(settings), "cpu")


def continuations(language: str, seeds: str | list[str]) -> list[str]:
    generator = shipped(language)
    options = generator_options(load(flags=[f"language={language}"]).settings)
    return [
        join_sentences(
            generator.with_options(replace(options, random_seed=n)).continue_text(s, lambda: False)
        )
        for n, s in enumerate(seeds)
    ]


def test_a_character_becomes_a_poem_of_equal_lines(home):
    seeds = "武春秋月山酒雪江花风"
    poems = [s + rest for s, rest in zip(seeds, continuations("zh", seeds), strict=True)]
    assert all("\ufffd" not in poem and poem[-1] in "。！？；" for poem in poems)
    couplets = [c for poem in poems for c in re.split("[。！？；]", poem) if c.strip()]
    even = [c for c in couplets if len({len(line) for line in re.split("[，、]", c.strip())}) == 1]
    assert len(couplets) >= 20
    assert len(even) >= 0.9 * len(couplets)


@pytest.mark.parametrize(
    ("seed", "taken_up"),
    [
        ("the old sailor", r"sailor|boat|ship|sea|he|ocean"),
        ("once upon a time there was a fox", r"fox|he|she|named"),
        ("a dragon and a knight", r"dragon|knight|they"),
    ],
)
def test_a_story_takes_up_its_seed(home, seed: str, taken_up: str):
    for story in continuations("en", [seed] * 3):
        assert re.search(rf"\b({taken_up})\b", story, re.I), story
        assert len(story.split()) >= 12
        assert re.search(r"[.!?][\"”']?$", story), story


def beginnings(language: str, seeds: list[str], replies: int) -> list[tuple[str, str]]:
    """Each seed with the text of the first tokens after it, for several random seeds."""
    generator = shipped(language)
    options = generator_options(load(flags=[f"language={language}"]).settings)
    vocabulary = load_weights(find_weights(language, None)).vocabulary
    return [
        (seed, vocabulary.decode(itertools.islice(reply._tokens(seed), 4)))
        for n in range(replies)
        for reply in [generator.with_options(replace(options, random_seed=n))]
        for seed in seeds
    ]


SPOKEN = (Path(__file__).parent / "inference/glue-seeds-en.txt").read_text("utf-8").splitlines()
GLUED = re.compile(r"""[\w'’-]|[^\s\w—]+\w""")


def test_no_story_begins_inside_the_last_word_of_its_seed(home):
    """Without the mask all after "never mind" do ("ed"), 9 of 10 after "dear boss" ("y")."""
    seeds = ["never mind", "never mind ", "dear boss", "A fish. Then came a fire", "chapter 1"]
    seeds += ["by the lake there lived a fish", "the children sat around the fire", *SPOKEN[::8]]
    texts = beginnings("en", seeds, 4)
    assert [pair for pair in texts if GLUED.match(pair[1])] == []
    assert sum(text.startswith((" ", ".", ",")) for _, text in texts) > 0.95 * len(texts)
    assert not [pair for pair in texts if re.match(r"\s*\n|  ", pair[1])]


def test_after_a_hyphen_a_word_goes_on(home):
    texts = beginnings("en", ["yesterday i saw a butter-", 'He said, "'], 4)
    assert all(GLUED.match(text) for _, text in texts), texts


def test_a_poem_begins_with_any_character(home):
    texts = beginnings("zh", list("武春秋月"), 3)
    assert sum("\u4e00" <= text[:1] <= "\u9fff" for _, text in texts) == len(texts)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_they_may_be_rounded_to_8_bits(
    home, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is faster depends on the machine; whether the product is near enough does not."""
    monkeypatch.setattr(
        "model.inference.quantization._seconds",
        lambda matrix, x: float(matrix(x).dtype.itemsize),
    )
    weights = load_weights(find_weights(language, None))
    assert choose_format(weights.model.embedding.weight.detach()) == "int8"


PERSON = re.compile(r"\b(i|me|my|we|us|our)\b|\b(he|him|his|she|her|they|them|their)\b")


def test_a_narrator_stays_in_the_first_person(home):
    """The weights before kept it in 1 of 19 with a pronoun, these in 21 of 21."""
    seeds = ["when i was seven years old", "when i was a child", "i was alone in the house"]
    seeds += [
        "i walked into the dark forest",
        "my friends and i went to the lake",
        "i was so hungry",
    ]
    found = []
    for story in continuations("en", [seed for seed in seeds for _ in range(4)]):
        first = re.split(r"(?<=[.!?])\s", re.sub(r'"[^"]*"', "", story))[0]
        if pronoun := PERSON.search(first.lower()):
            found.append(bool(pronoun[1]))
    assert len(found) >= 12
    assert sum(found) >= 0.8 * len(found)
