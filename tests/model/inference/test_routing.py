import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from config.load import load
from model.checkpoints.fetched import folder_of
from model.checkpoints.store import own_weights, shipped_weights
from model.checkpoints.weights_file import save_weights
from model.inference import loading
from model.inference.engine import InferenceEngine
from model.inference.generator import SCORED_TOKENS, GeneratorOptions, TextGenerator
from model.inference.routing import OWN_TEXTS, STORIES, TEXTS, RoutedGenerator, is_address
from tests.model.made import small_weights


@dataclass
class FakeGenerator:
    """Continues every seed with the same sentences; its bits are those of the table."""

    name: str
    bits: dict[str, float] = field(default_factory=dict)
    seeds: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    device: str = "cpu"

    def bits_per_token(self, seed: str) -> float:
        self.scored.append(seed)
        return self.bits[seed]

    def read_ahead(self, seed: str) -> None:
        self.read.append(seed)

    def continue_text(self, seed: str, cancelled: Callable[[], bool]) -> Iterator[str]:
        self.seeds.append(seed)
        yield f"said {self.name}."
        yield "The end."

    def with_options(self, options: GeneratorOptions) -> "FakeGenerator":
        return replace(self, name=f"{self.name} {options.max_sentences}")


def never() -> bool:
    return False


@pytest.fixture
def small() -> FakeGenerator:
    return FakeGenerator("small", {"the little fox": 4.0, "the stock market": 15.0, "the": 5.0})


@pytest.fixture
def routed(small: FakeGenerator) -> RoutedGenerator:
    return RoutedGenerator(small, FakeGenerator("large"))  # type: ignore[arg-type]


def test_each_seed_chooses_its_weights(routed: RoutedGenerator):
    assert list(routed.continue_text("the little fox", never)) == ["said small.", "The end."]
    assert routed.name == "small"
    assert list(routed.continue_text("the stock market", never)) == ["said large.", "The end."]
    assert routed.name == "large"


def test_a_text_that_goes_on_stays_with_its_weights(routed: RoutedGenerator, small: FakeGenerator):
    for seed in ("the little fox", "the stock market"):
        list(routed.continue_text(seed, never))
        first = routed.name
        for context in (f"{seed} said {first}.", f"{first}. The end.", f"said {first}."):
            list(routed.continue_text(context, never))
            assert routed.name == first
    assert small.scored == ["the little fox", "the stock market"]


def test_the_texts_of_two_conversations_alternate(routed: RoutedGenerator, small: FakeGenerator):
    seeds = {"the little fox": "small", "the stock market": "large"}
    for seed in seeds:
        list(routed.continue_text(seed, never))
    for other in (routed, routed.with_options(GeneratorOptions(max_sentences=9))):
        for seed, name in seeds.items():
            list(other.continue_text(f"{seed} said {name}. The end.", never))
            assert other.name.startswith(name)
    assert small.scored == [*seeds]


def test_of_the_texts_the_newest_are_remembered(routed: RoutedGenerator, small: FakeGenerator):
    for number in range(TEXTS + 1):
        small.bits |= {f"market {number}": 15.0, f"market {number} said large.": 4.0}
        list(routed.continue_text(f"market {number}", never))
    list(routed.continue_text("market 1 said large.", never))
    assert routed.name == "large"
    list(routed.continue_text("market 0 said large.", never))
    assert routed.name == "small"


def test_words_that_the_newest_text_has_by_chance_choose_anew(
    routed: RoutedGenerator, small: FakeGenerator
):
    small.bits["said large"] = 4.0
    list(routed.continue_text("the stock market", never))
    list(routed.continue_text("said large", never))
    assert routed.name == "small"


def test_the_chosen_weights_read_ahead_and_the_choice_is_made_once(
    routed: RoutedGenerator, small: FakeGenerator
):
    large = routed._large
    assert isinstance(large, FakeGenerator)
    for words in ("the", "the stock market", "the stock market"):
        routed.read_ahead(words)
    list(routed.continue_text("the stock market", never))
    assert (small.read, large.read) == (["the"], ["the stock market", "the stock market"])
    assert small.scored == ["the", "the stock market"]
    assert (small.seeds, large.seeds) == ([], ["the stock market"])


def test_other_options_hold_for_both(routed: RoutedGenerator):
    other = routed.with_options(GeneratorOptions(max_sentences=9))
    other._small.bits = {"fox": 20.0}  # type: ignore[attr-defined]
    assert next(other.continue_text("fox", never)) == "said large 9."
    assert routed._small.name == "small"


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        ("when i was seven", True),
        ("Dear mum, I'm fine", True),
        ("do you believe in ghosts", True),
        ("why is the sea salty", True),
        ("the little fox", False),
        ("a boy and his youth", False),
        ("", False),
    ],
)
def test_first_and_second_persons_and_questions_are_told_from_stories(seed: str, expected: bool):
    assert is_address(seed) is expected


def test_an_address_must_be_likelier_to_be_a_story():
    assert STORIES.is_story("the little fox", 6.0)
    assert not STORIES.is_story("my little fox", 6.0)
    assert OWN_TEXTS.is_story("my little fox", 6.0)  # the user's own weights may be a diary's
    assert not OWN_TEXTS.is_story("the little fox", math.inf)


def test_bits_are_those_of_the_models_probabilities():
    weights = small_weights()
    engine = InferenceEngine(weights.model, "float32")
    generator = TextGenerator(engine, weights.vocabulary, GeneratorOptions())
    ids = [weights.vocabulary.end, *weights.vocabulary.encode(" the fox")]
    expected = []
    for count in range(1, len(ids)):
        logits = engine.prefill(ids[:count])
        expected.append(-float(logits.log_softmax(0)[ids[count]]) / math.log(2))
    for seed in ("the fox", "the", "the fox", "the f"):  # also after others
        bits = generator.bits_per_token(seed)
        count = len(weights.vocabulary.encode(f" {seed}"))
        assert bits == pytest.approx(sum(expected[:count]) / count, rel=1e-4)
    assert generator.bits_per_token("") == math.inf
    long = generator.bits_per_token("a" * 200)
    assert long == generator.bits_per_token("a" * (SCORED_TOKENS + 20))


def test_reading_ahead_changes_no_word():
    weights = small_weights()
    texts = []
    for ahead in ([], ["the", "the f", "a hen"], ["the fox ran"]):
        engine = InferenceEngine(weights.model, "float32")
        options = GeneratorOptions(max_new_tokens=20, random_seed=1)
        generator = TextGenerator(engine, weights.vocabulary, options)
        for words in ahead:
            generator.read_ahead(words)
            generator.bits_per_token(words)
        texts.append(list(generator.continue_text("the fox", never)))
    assert texts[0] == texts[1] == texts[2]


@pytest.fixture
def files() -> Path:
    """Fetched large weights."""
    file = folder_of("large") / "en.safetensors"
    file.parent.mkdir(parents=True)
    save_weights(file, small_weights(seed=2))
    return file


def test_automatic_weights_are_both_where_the_large_are_fetched(files: Path):
    shipped = shipped_weights("en")
    for flags in ([], ["model.weights=auto"]):
        settings = load(flags=flags, environment={}).settings
        assert loading.weights_files(settings) == [shipped, files]
    named = load(flags=[f"model.weights={files}"], environment={}).settings
    assert loading.weights_files(named) == [files]
    chinese = load(flags=["language=zh"], environment={}).settings
    assert loading.weights_files(chinese) == [shipped_weights("zh")]
    files.unlink()
    settings = load(environment={}).settings
    assert loading.weights_files(settings) == [shipped]


def test_the_users_own_weights_take_the_place_of_the_small_ones(files: Path):
    own = own_weights("en")
    own.parent.mkdir(parents=True, exist_ok=True)
    save_weights(own, small_weights())
    settings = load(environment={}).settings
    assert loading.weights_files(settings) == [own, files]
    generator, weights = loading.load_weights(settings)
    assert isinstance(generator, RoutedGenerator)
    assert generator._rule == OWN_TEXTS
    assert [info.path for info in weights] == [own, files]
    assert [generator._small.name, generator._large.name] == [info.name for info in weights]


def test_damaged_large_weights_are_left_out(files: Path, caplog: pytest.LogCaptureFixture):
    files.write_bytes(b"no weights")
    settings = load(environment={}).settings
    with caplog.at_level(logging.ERROR):
        generator, weights = loading.load_weights(settings)
    assert isinstance(generator, TextGenerator)
    assert generator.name == "shipped"
    assert [info.path for info in weights] == [shipped_weights("en")]
    assert "The other weights answer alone" in caplog.text


@pytest.fixture(scope="module")
def shipped() -> TextGenerator:
    generator, _ = loading.load_file(load(environment={}).settings, shipped_weights("en"), "cpu")
    return generator


def test_the_rule_in_force_gives_most_seeds_the_right_weights(shipped: TextGenerator):
    """Seeds kept aside from the choice of the rule; `scripts/fit-routing` has the counts."""
    lines = (Path(__file__).parent / "routing-seeds.tsv").read_text("utf-8").splitlines()
    kept = [line.split("\t")[1:] for line in lines if line.startswith("kept")]
    chosen = [(a, STORIES.is_story(seed, shipped.bits_per_token(seed))) for a, seed in kept]
    assert len(chosen) == 100
    assert sum(story == (answer == "story") for answer, story in chosen) >= 85
    assert sum(story for answer, story in chosen if answer == "other") <= 3  # the worse mistake


@pytest.mark.parametrize(
    ("seed", "is_story"),
    [("once", True), ("the wolf", True), ("happiness", False), ("my cat", False), ("hello", False)],
)
def test_one_or_two_words_are_a_story_only_if_stories_begin_so(
    seed: str, is_story: bool, shipped: TextGenerator
):
    assert STORIES.is_story(seed, shipped.bits_per_token(seed)) is is_story
