"""Scores texts under a model, in bits per byte, which compare models of different vocabularies.

Each document is scored from its own start, and its end is not scored.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F

from model.text.vocabulary import Vocabulary
from model.transformer import TransformerConfig


@dataclass(frozen=True)
class Score:
    """The sums of a score over documents.

    Attributes:
        nats: negative log likelihood.
        tokens: number of compact ids.
        size: bytes in UTF-8.
    """

    nats: float
    tokens: int
    size: int

    @property
    def bits_per_byte(self) -> float:
        """Lower is better; random bytes have 8."""
        return self.nats / math.log(2) / self.size

    @property
    def nats_per_token(self) -> float:
        """Depends on the vocabulary: rarer tokens are harder."""
        return self.nats / self.tokens


class Predictor(Protocol):
    """A model that can be scored, such as the Transformer."""

    @property
    def config(self) -> TransformerConfig:
        """Its shape."""

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) of the token after each of ids (B, T)."""


def score(
    model: Predictor, vocabulary: Vocabulary, documents: Iterable[str], device: torch.device
) -> Score:
    """Score documents, none of them empty, each from its own start."""
    nats, tokens, size = 0.0, 0, 0
    for document in documents:
        ids = torch.tensor([vocabulary.end, *vocabulary.encode(document)], device=device)  # (N,)
        nats += _nats(model, ids)
        tokens += len(ids) - 1
        size += len(document.encode())
    return Score(nats, tokens, size)


@torch.inference_mode()
def _nats(model: Predictor, ids: torch.Tensor) -> float:
    """Negative log likelihood of ids[1:]; ids is (N,).

    Longer texts are scored in windows that overlap by half, so that every id past the first window
    has at least half a context before it.
    """
    context = model.config.context_length
    step = max(1, context // 2)
    total, scored = 0.0, 0
    for begin in range(0, len(ids) - 1, step):
        window = ids[begin : begin + context + 1]  # (T + 1,)
        new = begin + len(window) - 1 - scored
        if new > 0:
            logits = model(window[None, :-1])[0, -new:].float()  # (new, V)
            total += F.cross_entropy(logits, window[-new:], reduction="sum").item()
            scored += new
    return total
