"""Matrix times vector in the fastest form that costs no quality: what one token's decoding is.

At batch 1 a product takes as long as reading its weights. On a CPU, weights in 8 bits with a scale
for each row are read four times as fast as float32 and cost no quality that can be measured; their
operator is private to torch, so it is tried on a matrix of the model before it is used: where torch
lacks it, or it computes something else or is slower, float32 stays.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_TRIALS = 7
_LARGEST_ERROR = 0.1  # of the product's norm; rounding to 8 bits costs 0.01 to 0.04
_TRIAL_ROWS = 16_384  # enough not to fit into a processor's nearest caches


@dataclass(frozen=True)
class QuantizedLinear:
    """A matrix (out, in), of which no other form than its own need be kept.

    Attributes:
        times: vectors (T, in) to their products (T, out). The vectors may be float32 or what
            WANTED_DTYPES says; so may the products.
        rows: a row (in,), or those (T, in) that a tensor of places (T,) names, in float32.
    """

    times: Callable[[Tensor], Tensor]
    rows: Callable[[int | Tensor], Tensor]


def float32(weight: Tensor) -> QuantizedLinear:
    """The exact product; a CPU reads a transposed matrix twice as fast."""
    transposed = weight.float().t().contiguous()  # (in, out)
    return QuantizedLinear(lambda x: x @ transposed, lambda which: transposed.t()[which])


def bfloat16(weight: Tensor) -> QuantizedLinear:
    """For GPUs: half the bytes of float32, computed by their matrix units."""
    rounded = weight.bfloat16()
    return QuantizedLinear(
        lambda x: F.linear(x.bfloat16(), rounded), lambda which: rounded[which].float()
    )


def int8(weight: Tensor) -> QuantizedLinear:
    """Weights in 8 bits, the vector in bfloat16, which the operator wants."""
    scales = (weight.abs().amax(dim=1).clamp(min=1e-10) / 127).bfloat16()  # (out,)
    whole = (weight / scales.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
    multiply = torch.ops.aten._weight_int8pack_mm.default
    column = scales.float()[:, None]  # (out, 1)
    return QuantizedLinear(
        lambda x: multiply(x.bfloat16(), whole, scales),
        lambda which: whole[which] * column[which],
    )


FORMATS = {"int8": int8, "float32": float32, "bfloat16": bfloat16}
WANTED_DTYPES = {"int8": torch.bfloat16, "float32": torch.float32, "bfloat16": torch.bfloat16}
"""What each form computes with: a vector that is in it already need not be converted."""


@torch.inference_mode()
def choose_form(weight: Tensor) -> str:
    """The name of the best form in FORMS for matrices like this one on its device."""
    if weight.device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if weight.device.type != "cpu":
        return "float32"
    return "int8" if _int8_is_good(weight[:_TRIAL_ROWS].float()) else "float32"


def _int8_is_good(weight: Tensor) -> bool:
    x = torch.randn(1, weight.size(1), generator=torch.Generator().manual_seed(1))
    exact = float32(weight)
    try:
        rounded = int8(weight)
        error = (rounded.times(x) - exact.times(x)).norm() / exact.times(x).norm()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool(error < _LARGEST_ERROR) and _seconds(rounded, x) < _seconds(exact, x)


def _seconds(matrix: QuantizedLinear, x: Tensor) -> float:
    """The shortest of a few trials, which a busy machine disturbs least."""
    times = []
    for _ in range(_TRIALS):
        begin = time.perf_counter()
        matrix.times(x)
        times.append(time.perf_counter() - begin)
    return min(times)
