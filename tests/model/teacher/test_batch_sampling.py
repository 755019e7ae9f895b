import math
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from config.errors import GenerationError
from model.inference.sampler import filter_logits
from model.teacher.batch_sampling import KeyValueCache, cached_states, continue_batch, sample_batch
from tests.model.inference.test_sampler import (
    CHI_SQUARE,
    DRAWS,
    ONE_TWO_FOUR_EIGHT,
    chi_square,
    options,
)
from tests.model.made import small_model

IDS = torch.randint(0, 300, (3, 30), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cuts", [[10], [1, 2, 3], [15, 16], [29], list(range(1, 30))])
def test_the_cache_gives_the_same_logits(cuts: list[int]):
    model = small_model()
    cache = KeyValueCache(model.config, 3, "cpu")
    parts = torch.tensor_split(IDS, cuts, dim=1)
    states = torch.cat([cached_states(model, part, cache) for part in parts], dim=1)
    logits = F.linear(states, model.embedding.weight)
    torch.testing.assert_close(logits, model(IDS), rtol=1e-4, atol=1e-4)


def test_more_tokens_than_the_context_are_refused():
    model = small_model(context=32)
    cache = KeyValueCache(model.config, 3, "cpu")
    cached_states(model, IDS, cache)
    with pytest.raises(ValueError, match="33 tokens exceed the context of 32"):
        cached_states(model, IDS[:, :3], cache)


@torch.inference_mode()
def test_a_greedy_continuation_is_that_of_the_plain_forward_pass():
    model = small_model(context=32)
    found = continue_batch(model, IDS[:, :5], options(temperature=0.0), torch.Generator())
    assert found.shape == (3, 32)
    torch.testing.assert_close(found[:, 5:], model(found)[:, 4:-1].argmax(dim=-1))


@pytest.mark.parametrize(
    "filters",
    [{}, {"top_k": 3}, {"top_p": 0.8}, {"min_p": 0.2}, {"top_k": 3, "top_p": 0.8, "min_p": 0.2}],
    ids=str,
)
def test_many_texts_at_once_have_the_chances_of_one(filters: dict[str, float]):
    chosen = options(temperature=0.7, **filters)
    other = torch.tensor([5.0, 0.0, 0.0, 0.0])  # a neighbour must not matter
    batch = torch.stack([ONE_TWO_FOUR_EIGHT, other]).repeat(DRAWS, 1)
    ids = sample_batch(batch, chosen, torch.Generator().manual_seed(1))
    found = Counter(ids[::2].tolist())
    values, kept = filter_logits(ONE_TWO_FOUR_EIGHT / 0.7, chosen)
    expected = dict(zip(kept.tolist(), values.exp().tolist(), strict=True))
    assert chi_square(found, expected) < CHI_SQUARE[max(1, len(expected) - 1)]


def test_a_greedy_batch_takes_the_likeliest_of_each():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert sample_batch(logits, options(temperature=0.0), torch.Generator()).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_one_bad_text_of_many_is_an_error(temperature: float):
    logits = torch.zeros(3, 4)
    logits[1, 2] = math.nan
    with pytest.raises(GenerationError, match="not finite"):
        sample_batch(logits, options(temperature=temperature), torch.Generator())
