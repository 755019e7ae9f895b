"""Logits to the next id: repetition penalty, temperature, top-k, top-p, then chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from config.errors import GenerationError

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
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.1


def sample(
    logits: Tensor, recent: Sequence[int], options: SamplingOptions, generator: torch.Generator
) -> int:
    """Choose the next id by logits (V,), given the ids so far, the newest last.

    Raises:
        GenerationError: a logit is not a finite number.
    """
    if not torch.isfinite(logits).all():  # argmax would return the place of the NaN
        raise GenerationError(
            "The model computed numbers that are not finite; its weights are bad."
        )
    logits = penalise(logits.float(), recent, options.repetition_penalty)  # (V,)
    if options.temperature == 0:
        return int(logits.argmax())
    values, ids = filter_logits(logits / options.temperature, options)  # (K,) each
    probabilities = values.softmax(dim=-1)  # (K,)
    return int(ids[torch.multinomial(probabilities, 1, generator=generator)])


def penalise(logits: Tensor, recent: Sequence[int], penalty: float) -> Tensor:
    """Logits (V,) with those of the newest ids made smaller (Keskar et al. 2019, CTRL)."""
    if penalty == 1 or not recent:
        return logits
    ids = torch.tensor(list(set(recent[-_PENALTY_WINDOW:])), device=logits.device)  # (R,)
    said = logits[ids]  # (R,)
    return logits.index_copy(0, ids, torch.where(said > 0, said / penalty, said * penalty))


def filter_logits(logits: Tensor, options: SamplingOptions) -> tuple[Tensor, Tensor]:
    """The logits (K,) that top-k and top-p leave, the highest first, and their ids (K,)."""
    k = min(options.top_k or logits.numel(), logits.numel())
    if k == logits.numel() and options.top_p == 1:
        return logits, torch.arange(k, device=logits.device)
    values, ids = logits.topk(k)  # (K,) each, sorted
    if options.top_p < 1:
        probabilities = values.softmax(dim=-1)  # (K,)
        before = probabilities.cumsum(dim=-1) - probabilities  # (K,) what likelier ids have
        keep = max(1, int((before < options.top_p).sum()))
        values, ids = values[:keep], ids[:keep]
    return values, ids
