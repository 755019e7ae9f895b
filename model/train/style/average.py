"""Weights between those that a training began with and those that it ended with.

They keep most of what was learnt, and regain most of what was forgotten (WiSE-FT, Wortsman et al.
2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903).
"""

from dataclasses import replace

import torch

from model.checkpoints.adapters import Adapter
from model.checkpoints.blocks import dense
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights


def average(start: Weights, trained: Weights, kept: float) -> Weights:
    """The trained weights with this share, 0 to 1, of what the training changed.

    The two have the same shape and vocabulary. The result is not scored yet.
    """
    if kept == 1:
        return trained
    first, last = start.stored.tensors, trained.stored.tensors
    mean = {
        name: torch.lerp(dense(first[name]).float(), dense(last[name]).float(), kept)
        for name in last
    }
    stored = StoredModel(trained.stored.config, mean)
    return replace(trained, stored=stored, bits_per_byte=None)


def average_adapters(start: Adapter | None, trained: Adapter, kept: float) -> Adapter:
    """The trained adapter with this share, 0 to 1, of what the training changed.

    Args:
        start: the adapter that the training began with, of the same rank; None for a new one,
            which changed nothing at first.
        trained: the adapter that it ended with.
        kept: the share.
    """
    if start is None:
        changes = {name: (down, kept * up) for name, (down, up) in trained.changes.items()}
        return replace(trained, changes=changes, bits_per_byte=None)
    scale = (start.alpha / start.rank) / (trained.alpha / trained.rank)
    changes = {}
    for name, (down, up) in trained.changes.items():
        first_down, first_up = (matrix.float() for matrix in start.changes[name])
        changes[name] = (
            torch.lerp(first_down, down.float(), kept),
            torch.lerp(first_up * scale, up.float(), kept),
        )
    return replace(trained, changes=changes, bits_per_byte=None)
