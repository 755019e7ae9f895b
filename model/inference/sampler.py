"""Sampling: logits to the next id, by repetition penalty, temperature, top-k, top-p and min-p.

Letters in shapes: V vocabulary, K ids that the filters leave, R recent ids.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from config.errors import GenerationError

_PENALTY_WINDOW = 64  # tokens, about three sentences; the whole context would ban "the"
_NUCLEUS_START = 256  # ids sorted at first to find the nucleus …
_NUCLEUS_GROWTH = 8  # … and how many times as many where they do not suffice


@dataclass(frozen=True)
class SamplingOptions:
    """How the next id is chosen; the filters apply in the order top-k, top-p, min-p.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest id (greedy decoding).
        top_k: keep this number of likeliest ids; 0 keeps all (Fan et al. 2018).
        top_p: keep the fewest ids whose probabilities sum to this; 1 keeps all (nucleus sampling,
            Holtzman et al. 2020).
        repetition_penalty: divides positive logits of recent ids and multiplies negative ones; 1
            does nothing (Keskar et al. 2019, CTRL). Small models fall into loops without a mild
            one.
        min_p: keep ids with at least this fraction of the likeliest one's probability; 0 keeps all
            (Nguyen et al. 2024).
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    min_p: float = 0.0

    def cooled(self, factor: float) -> "SamplingOptions":
        """The same at a temperature multiplied by this factor."""
        return replace(self, temperature=self.temperature * factor)


@torch.inference_mode()
def sample(
    logits: Tensor, recent: Sequence[int], options: SamplingOptions, generator: torch.Generator
) -> int:
    """Draw the next id by logits (V,), given the ids generated so far, the newest last.

    Raises:
        GenerationError: a logit is not a finite number.
    """
    if not math.isfinite(logits.sum()):  # checked first: argmax would return the index of a NaN
        raise GenerationError(
            "The model computed numbers that are not finite; its weights are bad."
        )
    logits = penalise(logits.float(), recent, options.repetition_penalty)  # (V,)
    if options.temperature == 0:
        return int(logits.argmax())
    kept, ids = filter_logits(logits / options.temperature, options)  # (K,) each
    cumulative = cumulative_chances(kept)  # (K,)
    return int(ids[index_at(cumulative, random_number(generator))])


def cumulative_chances(logits: Tensor) -> Tensor:
    """The running sum of the probabilities by logits (K,), from above 0 up to 1, in float64."""
    sums = logits.double().softmax(dim=-1).cumsum(dim=-1)  # (K,)
    return sums / sums[-1]


def random_number(generator: torch.Generator) -> float:
    """A random number from 0 up to, but not including, 1; evenly distributed."""
    return float(torch.rand((), dtype=torch.float64, generator=generator))


def index_at(cumulative: Tensor, number: float) -> int:
    """Index of the first running sum (K,) above `number`, which is below 1.

    A random number falls below the first sum with its probability, and between two sums with that
    of the second one (inverse transform sampling). One number is enough, and it can be shown:
    torch.multinomial draws one for each id.
    """
    return int(torch.searchsorted(cumulative, number, right=True))


def penalise(logits: Tensor, recent: Sequence[int], penalty: float) -> Tensor:
    """Logits (V,) with those of the newest ids made smaller by `penalty`, which is at least 1."""
    if penalty == 1 or not recent:
        return logits
    ids = torch.tensor(recent[-_PENALTY_WINDOW:], device=logits.device)  # (R,) some twice
    old = logits.index_select(0, ids)  # (R,)
    return logits.index_copy(0, ids, torch.minimum(old / penalty, old * penalty))  # (V,)


def filter_logits(logits: Tensor, options: SamplingOptions) -> tuple[Tensor, Tensor]:
    """The logits (K,) that top-k, top-p and min-p keep of logits (V,), and their ids (K,)."""
    size = logits.numel()
    if 0 < options.top_k < size:
        kept, ids = logits.topk(options.top_k)  # (K,) each, sorted
        if options.top_p < 1:
            count = _nucleus_size(kept.softmax(dim=-1), options.top_p)
            kept, ids = kept[:count], ids[:count]  # (K,) each
    elif options.top_p < 1:
        kept, ids = _nucleus(logits, options.top_p)  # (K,) each
    else:
        kept, ids = logits, torch.arange(size, device=logits.device)  # (V,) each
    if options.min_p > 0:
        likely = kept >= kept.max() + math.log(options.min_p)  # (K,)
        kept, ids = kept[likely], ids[likely]  # (K,) each
    return kept, ids


def _nucleus_size(probabilities: Tensor, top_p: float) -> int:
    """How many of the sorted probabilities (K,) are needed for a sum of `top_p`."""
    too_few = torch.searchsorted(probabilities.cumsum(dim=-1), top_p)
    return min(int(too_few) + 1, len(probabilities))


def _nucleus(logits: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The nucleus of all logits (V,) and its ids, found without sorting a large vocabulary."""
    log_sum = logits.logsumexp(dim=-1)  # ()
    k = _NUCLEUS_START
    while True:
        k = min(k, logits.numel())
        values, ids = logits.topk(k)  # (k,) each, sorted
        count = _nucleus_size((values - log_sum).exp(), top_p)
        if count < k or k == logits.numel():
            return values[:count], ids[:count]  # (K,) each
        k *= _NUCLEUS_GROWTH
