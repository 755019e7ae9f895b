"""Logits to the next id: repetition penalty, temperature, top-k, top-p, min-p, then chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from config.errors import GenerationError

_NUCLEUS_START, _NUCLEUS_GROWTH = 256, 8  # how many ids are sorted at first, and how many next

_PENALTY_WINDOW = 64
"""Tokens that count as repeated: about three sentences. The whole context would ban "the"."""


@dataclass(frozen=True)
class SamplingOptions:
    """How bold the choice of the next id is.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest id.
        top_k: choose among this many likeliest ids; 0 is no limit.
        top_p: choose among the fewest ids that together have this probability; 1 is no limit.
        repetition_penalty: what was said lately gets a smaller logit by this factor; 1 is none.
            Small models fall into loops without a mild one.
        min_p: leave out ids less likely than this part of the likeliest one; 0 is no limit
            (Nguyen et al. 2024).
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    min_p: float = 0.0


@torch.inference_mode()
def sample(
    logits: Tensor, recent: Sequence[int], options: SamplingOptions, generator: torch.Generator
) -> int:
    """Choose the next id by logits (V,), given the ids so far, the newest last.

    Raises:
        GenerationError: a logit is not a finite number.
    """
    _refuse_infinite(logits)
    logits = penalise(logits.float(), recent, options.repetition_penalty)  # (V,)
    if options.temperature == 0:
        return int(logits.argmax())
    values, ids = filter_logits(logits / options.temperature, options)  # (K,) each
    return int(ids[draw(values, generator)])


def _refuse_infinite(logits: Tensor) -> None:
    if not math.isfinite(logits.sum()):  # argmax would return the place of the NaN
        raise GenerationError(
            "The model computed numbers that are not finite; its weights are bad."
        )


def draw(logits: Tensor, generator: torch.Generator) -> int:
    """A place in logits (K,) by chance; cheap, for the filters have left few."""
    probabilities = logits.softmax(dim=-1).to(generator.device)  # (K,)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def penalise(logits: Tensor, recent: Sequence[int], penalty: float) -> Tensor:
    """Logits (V,) with those of the newest ids made smaller (Keskar et al. 2019, CTRL).

    `penalty` is at least 1: it divides positive logits and multiplies negative ones.
    """
    if penalty == 1 or not recent:
        return logits
    ids = torch.tensor(recent[-_PENALTY_WINDOW:], device=logits.device)  # (R,) some twice
    said = logits.index_select(0, ids)  # (R,)
    return logits.index_copy(0, ids, torch.minimum(said / penalty, said * penalty))


def filter_logits(logits: Tensor, options: SamplingOptions) -> tuple[Tensor, Tensor]:
    """The logits (K,) that top-k, top-p and min-p leave, in this order, and their ids (K,)."""
    size = logits.numel()
    k = options.top_k or size
    if k < size:
        values, ids = logits.topk(k)  # (K,) each, sorted
        if options.top_p < 1:
            keep = nucleus(values.softmax(dim=-1), options.top_p)
            values, ids = values[:keep], ids[:keep]
    elif options.top_p < 1:
        values, ids = _largest_with(logits, options.top_p)
    else:
        values, ids = logits, torch.arange(size, device=logits.device)
    if options.min_p > 0:
        likely = values >= values.max() + math.log(options.min_p)  # (K,)
        values, ids = values[likely], ids[likely]
    return values, ids


def nucleus(probabilities: Tensor, top_p: float) -> int:
    """How many of the sorted probabilities (K,) reach this one (Holtzman et al. 2020)."""
    reached = torch.searchsorted(probabilities.cumsum(dim=-1), top_p)  # how many do not
    return min(int(reached) + 1, len(probabilities))


def _largest_with(logits: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The logits and ids of the nucleus among all, found without sorting all."""
    total = logits.logsumexp(dim=-1)
    k = _NUCLEUS_START
    while True:
        k = min(k, logits.numel())
        values, ids = logits.topk(k)  # (K,) each, sorted
        keep = nucleus((values - total).exp(), top_p)
        if keep < k or k == logits.numel():
            return values[:keep], ids[:keep]
        k *= _NUCLEUS_GROWTH
