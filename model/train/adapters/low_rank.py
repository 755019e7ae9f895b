"""Low-rank adapters for training (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685).

Each linear layer computes x Wᵀ + (x downᵀ) upᵀ · alpha / rank: W stays as it is, and only down and
up are trained, a hundredth of the numbers. No gradient of W is computed, a third of a step's work.

Letters in shapes: N outputs, M inputs, R rank.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.transformer import Transformer

RANK = 16  # 8 MB for SmolLM2-135M in float16
ALPHA_FACTOR = 2.0  # alpha / rank


class LowRankLinear(nn.Linear):
    """A linear layer without bias whose weight (N, M) is frozen and has an adapter.

    Attributes:
        down: (R, M), random.
        up: (N, R), zeros, so that nothing changes at first.
        scale: alpha / rank.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float) -> None:
        """Share the weight of a linear layer; `down` is drawn from torch's global generator."""
        with torch.device("meta"):
            super().__init__(linear.in_features, linear.out_features, bias=False)
        self.weight = linear.weight
        device = linear.weight.device
        self.down = nn.Parameter(torch.empty(rank, linear.in_features, device=device))
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank, device=device))
        self.scale = scale
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """Transform x (…, M) to (…, N)."""
        change = F.linear(F.linear(x, self.down), self.up)  # (…, N)
        return F.linear(x, self.weight) + self.scale * change


def add_adapters(model: Transformer, rank: int = RANK) -> Transformer:
    """Freeze a model and give an adapter to each linear layer of its blocks; returns the model."""
    model.requires_grad_(False)
    for block in model.blocks:
        for part in block.children():
            for name, layer in part.named_children():
                if isinstance(layer, nn.Linear):
                    setattr(part, name, LowRankLinear(layer, rank, ALPHA_FACTOR))
    return model


def changes_of(model: Transformer) -> dict[str, tuple[Tensor, Tensor]]:
    """A copy of down (R, M) and up (N, R) of each adapter, by the name of its matrix."""
    return {
        f"{name}.weight": (layer.down.detach().cpu().clone(), layer.up.detach().cpu().clone())
        for name, layer in model.named_modules()
        if isinstance(layer, LowRankLinear)
    }


@torch.no_grad()
def set_changes(
    model: Transformer, changes: Mapping[str, tuple[Tensor, Tensor]], scale: float
) -> None:
    """Give the adapters of a model these values, made for this alpha / rank.

    Raises:
        ValueError: a matrix is not the model's, or has an adapter of another rank.
    """
    layers = dict(model.named_modules())
    for name, (down, up) in changes.items():
        layer = layers.get(name.removesuffix(".weight"))
        if not isinstance(layer, LowRankLinear) or layer.down.shape != down.shape:
            raise ValueError(f"no adapter of this rank for {name}")
        layer.down.copy_(down)
        layer.up.copy_(up * (scale / layer.scale))
