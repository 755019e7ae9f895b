"""The candidates of one token, and what each mask and filter leaves of all ids.

The sampler's own functions do the work; here they are applied one after another.
Letters in shapes: V vocabulary, K ids that a filter leaves.
"""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from model.explain.trace import Candidate, Token
from model.inference.sampler import (
    SamplingOptions,
    cumulative_chances,
    filter_logits,
    penalise,
)
from model.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Choice:
    """What is known before a token is drawn.

    Attributes:
        logits: (V,) of the last position, without masks.
        masks: (V,) each, added to the logits; by name, in order.
        recent: the ids drawn so far.
        pending: bytes of an incomplete character.
    """

    logits: Tensor
    masks: Mapping[str, Tensor]
    recent: list[int]
    pending: bytes

    @property
    def masked(self) -> Tensor:
        """The logits (V,) with all masks, which the sampler gets."""
        return sum(self.masks.values(), start=self.logits)


def make_token(vocabulary: Vocabulary, compact_id: int) -> Token:
    """The token of a compact id."""
    return Token(compact_id, vocabulary.spelling(compact_id), vocabulary.pieces[compact_id])


def candidates_of(
    choice: Choice, sampling: SamplingOptions, drawn: int, vocabulary: Vocabulary, top: int
) -> tuple[list[Candidate], dict[str, int]]:
    """The `top` likeliest candidates and the drawn one, and the number of ids left: `Step.left`."""
    penalised = penalise(choice.logits, choice.recent, sampling.repetition_penalty)  # (V,)
    stages = _stages(choice, sampling)  # (V,) each
    reason: dict[int, str] = {}
    rows = penalised.topk(min(top, penalised.numel())).indices.tolist()
    rows += [] if drawn in rows else [drawn]
    for name, kept in stages.items():
        for row in rows:
            if not kept[row]:
                reason.setdefault(row, name)
    probability = penalised.softmax(dim=-1)  # (V,)
    tempered = penalised / sampling.temperature if sampling.temperature else None  # (V,)
    tempered_probability = None if tempered is None else tempered.softmax(dim=-1)  # (V,)
    chances = _chances(choice, sampling)
    certain = {drawn: 1.0} if sampling.temperature == 0 else {}
    candidates = [
        Candidate(
            token=make_token(vocabulary, row),
            logit=float(choice.logits[row]),
            penalised=float(penalised[row]),
            tempered=None if tempered is None else float(tempered[row]),
            probability=float(probability[row]),
            tempered_probability=(
                None if tempered_probability is None else float(tempered_probability[row])
            ),
            draw_probability=chances[row][0] if row in chances else certain.get(row, 0.0),
            cumulative=chances[row][1:] if row in chances and row not in reason else None,
            completes=_completed(choice.pending, vocabulary.pieces[row]),
            left_out_by=reason.get(row, ""),
        )
        for row in rows
    ]
    return candidates, {name: int(kept.sum()) for name, kept in stages.items()}


def _stages(choice: Choice, sampling: SamplingOptions) -> dict[str, Tensor]:
    """The ids (V,) that remain after each mask and filter, as booleans, in order.

    A filter counts masked ids too where others are fewer than it may keep; these have no chance.
    """
    kept = torch.ones(choice.logits.numel(), dtype=torch.bool)  # (V,)
    stages = {"vocabulary": kept}
    for name, mask in choice.masks.items():
        kept = kept & (mask == 0)  # (V,)
        if name == "whole characters" or not kept.equal(next(reversed(stages.values()))):
            stages[name] = kept
    penalised = penalise(choice.masked, choice.recent, sampling.repetition_penalty)  # (V,)
    if sampling.temperature == 0:
        likeliest = torch.zeros_like(kept)  # (V,)
        likeliest[penalised.argmax()] = True
        return stages | {"temperature 0": likeliest}
    for name, options in _filters(sampling).items():
        _, ids = filter_logits(penalised / sampling.temperature, options)  # (K,) each
        filtered = torch.zeros_like(kept)  # (V,)
        filtered[ids] = True
        stages[name] = kept & filtered
    return stages


def _filters(sampling: SamplingOptions) -> dict[str, SamplingOptions]:
    """The filters in use by name, in the sampler's order, each with all those before it."""
    options = replace(sampling, top_k=0, top_p=1.0, min_p=0.0)
    found = {}
    if sampling.top_k:
        options = found["top-k"] = replace(options, top_k=sampling.top_k)
    if sampling.top_p < 1:
        options = found["top-p"] = replace(options, top_p=sampling.top_p)
    if sampling.min_p > 0:
        found["min-p"] = replace(options, min_p=sampling.min_p)
    return found


def _chances(choice: Choice, sampling: SamplingOptions) -> dict[int, tuple[float, float, float]]:
    """By id, the chance of each that is left, and the cumulative chances before and with it."""
    if sampling.temperature == 0:
        return {}
    penalised = penalise(choice.masked, choice.recent, sampling.repetition_penalty)  # (V,)
    logits, ids = filter_logits(penalised / sampling.temperature, sampling)  # (K,) each
    ends = cumulative_chances(logits).tolist()
    begins = [0.0, *ends[:-1]]
    return {
        row: (end - begin, begin, end)
        for row, begin, end in zip(ids.tolist(), begins, ends, strict=True)
    }


def _completed(pending: bytes, data: bytes) -> str:
    """The whole characters that pending bytes and a token's bytes make; else empty."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(pending + data)
    return text if pending and "\ufffd" not in text else ""
