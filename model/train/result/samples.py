"""Samples of two models: the same seeds and random numbers, before and after a training."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from config.languages import LANGUAGES, Language, join_sentences
from model.checkpoints.weights_file import Weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.text.manner import Manner
from model.text.spoken_form import to_spoken_form

_OWN_SEEDS = 2  # openings of the user's own texts
_PRINTED = 3  # the report has all
_MAX_SENTENCES, _MAX_NEW_TOKENS = 3, 100


@dataclass(frozen=True)
class Sample:
    """A seed and its continuations by two models."""

    seed: str
    before: str
    after: str


def make_samples(
    before: Weights, after: Weights, language: str, own: Sequence[str], options: GeneratorOptions
) -> list[Sample]:
    """Continue everyday seeds, and openings of the user's own texts, with both models.

    Args:
        before: the weights that the training began with.
        after: those that it has made.
        language: its code, such as "en".
        own: texts of the user that were not trained on.
        options: how the daemon draws.
    """
    openings = [_opening(text, LANGUAGES[language]) for text in own[:_OWN_SEEDS]]
    seeds = [*LANGUAGES[language].report_seeds, *openings]
    options = replace(
        options,
        max_sentences=_MAX_SENTENCES,
        max_new_tokens=_MAX_NEW_TOKENS,
        random_seed=1,
    )
    both = [list(_continue(weights, seeds, options)) for weights in (before, after)]
    return [Sample(*row) for row in zip(seeds, *both, strict=True)]


def printed(samples: Sequence[Sample]) -> Iterator[str]:
    """The first samples, line by line."""
    for sample in samples[:_PRINTED]:
        yield f"“{sample.seed}”"
        yield f"    before: {sample.before}"
        yield f"    after:  {sample.after}"


def _opening(text: str, language: Language) -> str:
    """The first words of a text, as speech recognition would write them."""
    start = text[: language.opening_characters]
    if not language.word_space:
        return start
    return to_spoken_form(start.rpartition(" ")[0] or start).strip()


def _continue(weights: Weights, seeds: Sequence[str], options: GeneratorOptions) -> Iterator[str]:
    engine, manner = InferenceEngine(weights.stored), Manner.from_table(weights.manner)
    generator = TextGenerator(engine, weights.vocabulary, options, manner)
    for seed in seeds:
        yield join_sentences(generator.continue_text(seed, lambda: False))
