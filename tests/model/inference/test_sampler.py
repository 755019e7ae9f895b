import math
from collections import Counter

import pytest
import torch

from config.errors import GenerationError
from model.inference.sampler import (
    SamplingOptions,
    cumulative_chances,
    filter_logits,
    index_at,
    random_number,
    sample,
)

PLAIN = SamplingOptions(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
DRAWS = 8000
CHI_SQUARE = {1: 10.83, 2: 13.82, 3: 16.27, 15: 37.70}
"""Exceeded by chance once in a thousand, by degrees of freedom."""


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


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (4, 1.0), (0, 0.999), (4, 0.999)])
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(top_k: int, top_p: float):
    found = draw(ONE_TWO_FOUR_EIGHT, options(min_p=0.2, top_k=top_k, top_p=top_p))
    assert chi_square(found, {1: 2, 2: 4, 3: 8}) < CHI_SQUARE[2]


def test_min_p_counts_after_temperature():
    assert draw(ONE_TWO_FOUR_EIGHT, options(min_p=0.2, temperature=0.5)).keys() == {2, 3}
    assert draw(ONE_TWO_FOUR_EIGHT, options(min_p=0.2, temperature=9.0)).keys() == {0, 1, 2, 3}


def test_top_p_is_a_part_of_what_top_k_leaves():
    found = draw(ONE_TWO_FOUR_EIGHT, options(top_k=2, top_p=0.6))  # 8 / 12 reaches it
    assert found == {3: DRAWS}


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("spread", [0.01, 1.0, 5.0])
def test_the_nucleus_is_that_of_sorting_all(top_p: float, spread: float):
    logits = spread * torch.randn(5000, generator=torch.Generator().manual_seed(3))
    _, found = filter_logits(logits, options(top_p=top_p))
    values, ids = logits.double().sort(descending=True)
    fewest = int((values.softmax(dim=-1).cumsum(dim=-1) < top_p).sum()) + 1
    assert abs(len(found) - fewest) <= 1  # the sums differ in their last digits
    assert found.tolist() == ids[: len(found)].tolist()


def test_many_ids_are_drawn_in_their_proportion():
    logits = torch.randn(2000, generator=torch.Generator().manual_seed(5))
    found = draw(logits, PLAIN)
    parts = [range(n, n + 125) for n in range(0, 2000, 125)]  # counted together
    weights = dict(enumerate(logits[list(part)].exp().sum().item() for part in parts))
    counts = Counter({n: sum(found[i] for i in part) for n, part in enumerate(parts)})
    assert chi_square(counts, weights) < CHI_SQUARE[15]


def test_what_has_no_probability_is_never_drawn():
    logits = torch.tensor([-1e30, 0.0, -1e30, 0.0, -1e30])
    assert draw(logits, PLAIN).keys() == {1, 3}


@pytest.mark.parametrize(
    ("number", "index"), [(0.0, 1), (0.249, 1), (0.25, 3), (0.499, 3), (0.5, 4), (1 - 2**-53, 4)]
)
def test_a_random_number_draws_the_id_whose_share_it_falls_into(number: float, index: int):
    logits = torch.tensor([0.0, 1.0, 0.0, 1.0, 2.0, 0.0]).log()
    cumulative = cumulative_chances(logits)
    assert cumulative.tolist() == pytest.approx([0, 0.25, 0.25, 0.5, 1, 1])
    exact = torch.tensor([0, 0.25, 0.25, 0.5, 1, 1], dtype=torch.float64)
    assert index_at(exact, number) == index


def test_one_random_number_draws_one_id():
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    logits = torch.linspace(0, 3, 40)
    for _ in range(20):
        drawn = sample(logits, (), PLAIN, generators[0])
        assert drawn == index_at(cumulative_chances(logits), random_number(generators[1]))


def test_a_top_k_beyond_the_vocabulary_is_no_limit():
    assert draw(ONE_TWO_FOUR_EIGHT, options(top_k=99)).keys() == {0, 1, 2, 3}


def test_temperature_zero_is_greedy():
    assert draw(ONE_TWO_FOUR_EIGHT, options(temperature=0.0)) == {3: DRAWS}


def test_the_penalty_divides_positive_and_multiplies_negative_logits():
    logits = torch.tensor([math.log(4), -math.log(2), 0.0])
    found = draw(logits, options(repetition_penalty=2.0), recent=(0, 1, 0))
    assert chi_square(found, {0: 2, 1: 0.25, 2: 1}) < CHI_SQUARE[2]


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
