"""The training loss: head and cross entropy together, without all logits of a batch at once.

Letters in shapes: B sequences, T tokens, N = B·T, R rows at a time, V vocabulary, C width.
"""

from typing import Any

import torch
from torch import Tensor

from model.transformer import Transformer

_LOSS_ROWS = 512  # tokens whose logits exist at a time: at 12,500 ids these fit into a CPU's cache


def batch_loss(model: Transformer, rows: Tensor) -> Tensor:
    """Mean negative log likelihood (), in nats, of rows[:, 1:]; rows is (B, T + 1)."""
    states = model.states(rows[:, :-1]).flatten(0, 1)  # (N, C)
    targets = rows[:, 1:].flatten()  # (N,)
    head = model.embedding.weight  # (V, C)
    return LinearCrossEntropy.apply(states, head, targets)  # type: ignore[no-any-return, no-untyped-call]


def mean_gradients(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
    """The backward pass: gradients of the summed loss, saved by `forward`, as those of its mean."""
    x_gradient, head_gradient = ctx.saved_tensors  # (N, C), (V, C)
    scale = gradients[0] / len(x_gradient)  # ()
    head = head_gradient * scale if ctx.needs_input_grad[1] else None
    return x_gradient * scale, head, None


class LinearCrossEntropy(torch.autograd.Function):
    """Head and mean cross entropy in one, a few rows at a time.

    All logits of a batch at once would be its largest tensor by far, written and read again and
    again. The gradients are computed in the forward pass, while a part's logits are at hand.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """The loss (), in nats, of states (N, C) under head (V, C) and targets (N,)."""
        dtype = torch.get_autocast_dtype(states.device.type)
        dtype = dtype if torch.is_autocast_enabled(states.device.type) else states.dtype
        with torch.autocast(states.device.type, enabled=False):
            x, weight = states.to(dtype), head.to(dtype)  # (N, C), (V, C)
            x_gradient, head_gradient = torch.empty_like(x), torch.zeros_like(head)
            loss = torch.zeros((), device=x.device)
            for begin in range(0, len(x), _LOSS_ROWS):
                part = slice(begin, begin + _LOSS_ROWS)
                logits = (x[part] @ weight.T).float()  # (R, V)
                target = targets[part, None]  # (R, 1)
                log_sum = logits.logsumexp(dim=-1, keepdim=True)  # (R, 1)
                loss += (log_sum - logits.gather(1, target)).sum()
                gradient = logits.sub_(log_sum).exp_()  # (R, V) probabilities
                gradient.scatter_add_(1, target, torch.full_like(log_sum, -1.0))  # (R, V)
                gradient = gradient.to(dtype)
                x_gradient[part] = gradient @ weight  # (R, C)
                if ctx.needs_input_grad[1]:  # not of a frozen head
                    head_gradient += gradient.T @ x[part]  # (V, C)
        ctx.save_for_backward(x_gradient.to(states.dtype), head_gradient)
        return loss / len(x)

    backward = staticmethod(mean_gradients)
