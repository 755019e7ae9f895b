"""Optimizers (Muon for the matrices of the body, AdamW for the rest) and learning rates.

Muon: SGD with momentum and orthogonalised updates (three Polar Express iterations). The gradient
of a matrix has a few large singular values, and plain steps learn along these alone; Muon sets all
of them to about 1 (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon). torch.optim.Muon
always computes in bfloat16, which is several times slower than float32 on CPUs without instructions
for it, and takes five iterations where three suffice (docs/lab/training.md).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from config.errors import WeightsError
from model.train.options import TrainOptions
from model.transformer import Transformer

_MUON_MOMENTUM = 0.95
_MUON_UPDATE_RMS = 0.2  # that of AdamW's updates, so that both can share rate and decay
_POLAR_EXPRESS = (
    (7.711, -22.1138, 16.2487),
    (3.2153, -2.4112, 0.5013),
    (2.2183, -1.5940, 0.4107),
)
"""Coefficients of x, x³ and x⁵ in each iteration; together they map 0.02 ≤ x ≤ 1 to 1 ± 0.1.

Each is the best such polynomial for the range that the one before leaves (Amsel et al. 2025).
"""
_ADAM_BETAS = (0.9, 0.95)
_WEIGHT_DECAY = 0.1  # of the matrices; rare rows of the embedding would only shrink
_NEW_EMBEDDING_SCALE = 4.0  # times the rate: the embedding is new, the story model's body is not
_WARM_UP = 0.02  # part of the training in which the learning rate rises ...
_WARM_UP_STEPS = 5  # ... but at least so many steps, however slow these are
_FRESH_RATES = {"muon": 8e-3, "adamw": 2e-3}
_CONTINUED_RATE = 1e-4
_ADAPTER_RATE = 5e-4
_STORY_MODEL_RATE = 3e-5  # 1e-4 spoils its body: 0.682 bits per byte, not 0.665


class Muon(torch.optim.Optimizer):
    """Muon, for matrices inside a model; embeddings, heads and vectors need AdamW."""

    def __init__(self, groups: Iterable[dict[str, Any]], dtype: torch.dtype) -> None:
        """`groups` have `params`, `weight_decay` and, before each step, `lr`.

        Orthogonalisation computes its products in `dtype`.
        """
        self.dtype = dtype
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all matrices once."""
        for group in self.param_groups:
            for weight in group["params"]:  # (M, N)
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1 - _MUON_MOMENTUM)
                update = weight.grad.lerp(momentum, _MUON_MOMENTUM)  # Nesterov's
                scale = _MUON_UPDATE_RMS * max(weight.shape) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(orthogonalize(update, self.dtype), alpha=-group["lr"] * scale)


def orthogonalize(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """The matrix (M, N) with all singular values set to about 1, the smallest ones to less."""
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.mT if tall else matrix).to(dtype)  # (m, n), m ≤ n
    x = x / x.norm().clamp(min=1e-30)  # so that fourth powers do not overflow
    for i, (a, b, c) in enumerate(_POLAR_EXPRESS):
        gram = x @ x.mT  # (m, m)
        if i == 0:  # bound all singular values by 1, tightly
            bound = 1.01 * gram.norm().sqrt().clamp(min=1e-6)
            x, gram = x / bound, gram / bound**2
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)  # (m, n)
    return (x.mT if tall else x).to(matrix.dtype)


def make_optimizers(
    model: Transformer, options: TrainOptions, optimizer: str, bfloat16: bool
) -> tuple[torch.optim.AdamW, Muon | None]:
    """AdamW, and Muon if it is the chosen one; each group's `rate_scale` multiplies the rate."""
    named = [(name, w) for name, w in model.named_parameters() if w.requires_grad]
    embedding = [w for n, w in named if "embedding" in n]
    matrices = [w for n, w in named if w.dim() == 2 and "embedding" not in n]
    norms = [w for _, w in named if w.dim() < 2]
    scale = _NEW_EMBEDDING_SCALE if options.from_story_model else 1.0
    body = {"params": matrices, "weight_decay": _WEIGHT_DECAY, "rate_scale": 1.0}
    groups = [
        {"params": embedding, "weight_decay": 0.0, "rate_scale": scale},
        {"params": norms, "weight_decay": 0.0, "rate_scale": 1.0},
    ]
    muon = None
    if optimizer == "muon":
        muon = Muon([body], torch.bfloat16 if bfloat16 else torch.float32)
    else:
        groups.insert(1, body)
    return torch.optim.AdamW(groups, lr=0.0, betas=_ADAM_BETAS, fused=True), muon


def choose_optimizer(options: TrainOptions, state: dict[str, Any] | None) -> str:
    """Muon from scratch, where it learns faster; AdamW for weights that were trained with it.

    Raises:
        WeightsError: the resumed training began with another optimizer than the given one.
    """
    if state is None:
        auto = "adamw" if options.init_from else "muon"
        return auto if options.optimizer == "auto" else options.optimizer
    begun = "muon" if state.get("muon") else "adamw"
    if options.optimizer not in ("auto", begun):
        raise WeightsError(
            f"{options.state_path} was begun with {begun}, not {options.optimizer}; leave out "
            "--optimizer."
        )
    return begun


def default_rate(options: TrainOptions, optimizer: str) -> float:
    """The peak learning rate if none is given."""
    if options.from_story_model:
        return _STORY_MODEL_RATE
    if options.rank:
        return _ADAPTER_RATE
    return _CONTINUED_RATE if options.init_from else _FRESH_RATES[optimizer]


def rate_factor(progress: float, step: int = _WARM_UP_STEPS) -> float:
    """The learning rate as a part of its peak: linear warm-up, then linear decay to 0.

    Decay to zero was the best of the simple schedules in Bergsma et al. 2025.

    Args:
        progress: of the training, 0 to 1.
        step: steps done; a slow machine's first ones are warmed up, too.
    """
    warm_up = min(progress / _WARM_UP + 0.05, (step + 1) / _WARM_UP_STEPS)
    return min(warm_up, (1 - progress) / (1 - _WARM_UP), 1.0)
