"""Muon: momentum whose every step turns and stretches a matrix alike in all directions.

The gradient of a matrix has a few large singular values; plain steps learn in their directions
only. Muon sets all of them to about 1 (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).
torch has one too, but it always computes in bfloat16, which CPUs without instructions for it do
several times slower than float32, and in five rounds where three do.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

_MOMENTUM = 0.95
_ADAM_SIZE = 0.2  # root mean square of AdamW's steps, so that both can share rate and decay
_ROUNDS = (
    (7.711, -22.1138, 16.2487),
    (3.2153, -2.4112, 0.5013),
    (2.2183, -1.5940, 0.4107),
)
"""Coefficients of x, x³ and x⁵: after all rounds 0.02 ≤ x ≤ 1 has become 1 ± 0.1.

Each is the best such polynomial for what the one before leaves (Amsel et al. 2025, Polar Express).
"""


class Muon(torch.optim.Optimizer):
    """For matrices within a model; embeddings, heads and vectors want AdamW."""

    def __init__(self, groups: Iterable[dict[str, Any]], dtype: torch.dtype) -> None:
        """`groups` have `params`, `weight_decay` and, before each step, `lr`.

        `dtype` is what products are computed in.
        """
        self.dtype = dtype
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Change all matrices by one step."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                average = state["momentum"].lerp_(weight.grad, 1 - _MOMENTUM)
                ahead = weight.grad.lerp(average, _MOMENTUM)  # Nesterov's
                size = _ADAM_SIZE * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(orthogonal(ahead, self.dtype), alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """A matrix (M, N) with all its singular values set to about 1, the smallest ones to less."""
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.mT if tall else matrix).to(dtype)  # (m, n), m ≤ n
    x = x / x.norm().clamp(min=1e-30)  # so that squares of squares stay numbers
    for round_, (a, b, c) in enumerate(_ROUNDS):
        gram = x @ x.mT  # (m, m)
        if round_ == 0:  # all singular values below 1, if only just
            largest = 1.01 * gram.norm().sqrt().clamp(min=1e-6)
            x, gram = x / largest, gram / largest**2
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrix.dtype)
