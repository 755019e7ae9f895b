"""What is explained is what answers: the weights that a seed chooses, token by token."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from config.languages import LANGUAGES
from config.load import load
from model.checkpoints.fetched import folder_of
from model.checkpoints.weights_file import save_weights
from model.explain.chosen import choose
from model.explain.tracing import make_trace
from model.inference.loading import generator_options
from tests.model.made import small_weights

_TOKENS = 6


def assert_same_as_the_generator(language: str, seed: str) -> str:
    """Explain a seed with several random seeds; returns the name of the weights."""
    flags = [f"language={language}", "model.device=cpu"]
    settings = load(flags=flags, environment={}).settings
    chosen = choose(settings, settings.model.weights, seed)
    options = generator_options(settings)
    engine = chosen.generator.engine
    for random_seed in (1, 2, 3):
        trace = make_trace(
            chosen.weights, engine, seed, options.sampling, random_seed, _TOKENS, top=5
        )
        generator = chosen.generator.with_options(replace(options, random_seed=random_seed))
        drawn = list(islice(generator._tokens(seed), _TOKENS))
        assert [step.drawn.id for step in trace.steps] == drawn
        assert len(drawn) == _TOKENS
    return chosen.generator.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_shipped_weights_draw_what_is_explained(language: str):
    seed = {"en": "the old sailor", "zh": "武"}[language]
    assert assert_same_as_the_generator(language, seed) == "shipped"


@pytest.mark.slow
def test_the_large_weights_and_their_adapter_draw_what_is_explained(fetched_large: Path):
    folder_of("large").parent.mkdir(parents=True)
    folder_of("large").symlink_to(fetched_large)
    name = assert_same_as_the_generator("en", "the best way to make bread is")
    assert name.startswith("large")


def test_of_two_weights_those_are_explained_that_the_seed_chooses():
    settings = load(flags=["model.device=cpu"], environment={}).settings
    folder_of("large").mkdir(parents=True)
    save_weights(folder_of("large") / "en.safetensors", small_weights())
    story = choose(settings, None, "once upon a time there was a fox")
    assert story.generator.name == "shipped"
    assert "shipped continue this seed, not large" in story.note
    other = choose(settings, "auto", "the stock market fell because")
    assert other.generator.name == "large"
    assert other.weights.vocabulary.size == small_weights().vocabulary.size
    assert "large continue this seed, not shipped" in other.note
    assert choose(settings, "shipped", "the stock market fell because").note == ""
