import math
from collections import Counter

import pytest
import torch

from config.errors import GenerationError
from model.sampler import SamplingOptions, sample

PLAIN = SamplingOptions(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
DRAWS = 8000
CHI_SQUARE = {1: 10.83, 3: 16.27}  # exceeded by chance once in a thousand, by degrees of freedom


def options(**changes: float) -> SamplingOptions:
    return SamplingOptions(**{**vars(PLAIN), **changes})


def draw(logits: torch.Tensor, chosen: SamplingOptions, recent: tuple[int, ...] = ()) -> Counter:
    generator = torch.Generator().manual_seed(1)
    return Counter(sample(logits, recent, chosen, generator) for _ in range(DRAWS))


def chi_square(found: Counter, weights: dict[int, float]) -> float:
    expected = {i: DRAWS * w / sum(weights.values()) for i, w in weights.items()}
    assert found.keys() <= expected.keys()
    return sum((found[i] - e) ** 2 / e for i, e in expected.items())


ONE_TWO_FOUR_EIGHT = torch.tensor([1.0, 2.0, 4.0, 8.0]).log()


@pytest.mark.parametrize(
    ("temperature", "weights"),
    [
        (1.0, {0: 1, 1: 2, 2: 4, 3: 8}),
        (0.5, {0: 1, 1: 4, 2: 16, 3: 64}),
        (2.0, {0: 1, 1: math.sqrt(2), 2: 2, 3: math.sqrt(8)}),
    ],
)
def test_temperature_divides_logits(temperature: float, weights: dict[int, float]):
    found = draw(ONE_TWO_FOUR_EIGHT, options(temperature=temperature))
    assert chi_square(found, weights) < CHI_SQUARE[3]


def test_top_k_keeps_the_likeliest_in_their_proportion():
    found = draw(ONE_TWO_FOUR_EIGHT, options(top_k=2))
    assert chi_square(found, {2: 4, 3: 8}) < CHI_SQUARE[1]


@pytest.mark.parametrize(
    ("top_p", "support"), [(0.45, {0}), (0.6, {0, 1}), (0.9, {0, 1, 2}), (0.99, {0, 1, 2, 3})]
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, support: set[int]):
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert draw(logits, options(top_p=top_p)).keys() == support


def test_a_top_k_beyond_the_vocabulary_is_no_limit():
    assert draw(ONE_TWO_FOUR_EIGHT, options(top_k=99)).keys() == {0, 1, 2, 3}


def test_temperature_zero_is_greedy():
    assert draw(ONE_TWO_FOUR_EIGHT, options(temperature=0.0)) == {3: DRAWS}


def test_the_penalty_divides_positive_and_multiplies_negative_logits():
    logits = torch.tensor([math.log(4), -math.log(2), 0.0])
    found = draw(logits, options(repetition_penalty=2.0), recent=(0, 1, 0))
    assert chi_square(found, {0: 2, 1: 0.25, 2: 1}) < 13.82  # two degrees of freedom


def test_what_was_said_long_ago_is_not_penalised():
    logits = torch.tensor([1.0, 0.9])
    greedy = options(temperature=0.0, repetition_penalty=1.5)
    generator = torch.Generator()
    assert sample(logits, [0], greedy, generator) == 1
    assert sample(logits, [0, *[1] * 64], greedy, generator) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_numbers_that_are_not_finite_are_an_error(bad: float, temperature: float):
    logits = torch.tensor([1.0, bad, 2.0])
    with pytest.raises(GenerationError, match="not finite"):
        sample(logits, [], options(temperature=temperature), torch.Generator())


def test_the_same_generator_state_gives_the_same_ids():
    logits = torch.randn(500, generator=torch.Generator().manual_seed(4))

    def ids(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [sample(logits, [], SamplingOptions(), generator) for _ in range(20)]

    assert ids(7) == ids(7)
    assert ids(7) != ids(8)
