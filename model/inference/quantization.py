"""Weight-only quantised matrix–vector products (int8, bfloat16, float32) for single-token decoding.

At batch 1 a product takes as long as reading its weights. On a CPU, 8-bit weights with one scale a
row are read four times as fast as float32 and cost no measurable quality. Their operator is private
to torch, so it is tried on a matrix of the model first: float32 is used where torch lacks it, or
where it computes something else or is slower.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_TRIALS = 7
_MAX_RELATIVE_ERROR = 0.1  # of the product's norm; rounding to 8 bits costs 0.01 to 0.04
_TRIAL_ROWS = 16_384  # too many for a processor's nearest caches


@dataclass(frozen=True)
class QuantizedLinear:
    """A linear layer without bias, its matrix (out, in) in one number format only.

    Attributes:
        product: vectors (T, in) to their products (T, out), each in float32 or in INPUT_DTYPES'.
        rows: the row (in,) of an index, or rows (T, in) of a tensor of indices (T,), in float32.
    """

    product: Callable[[Tensor], Tensor]
    rows: Callable[[int | Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        """The products (T, out) of vectors x (T, in)."""
        return self.product(x)


def float32(weight: Tensor) -> QuantizedLinear:
    """Exact products with weight (out, in); a CPU reads the transposed matrix twice as fast."""
    transposed = weight.float().t().contiguous()  # (in, out)
    return QuantizedLinear(lambda x: x @ transposed, lambda index: transposed.t()[index])


def bfloat16(weight: Tensor) -> QuantizedLinear:
    """Weight (out, in) in half the bytes of float32, for the matrix units of GPUs."""
    rounded = weight.bfloat16()  # (out, in)
    return QuantizedLinear(
        lambda x: F.linear(x.bfloat16(), rounded), lambda index: rounded[index].float()
    )


def int8(weight: Tensor) -> QuantizedLinear:
    """Weight (out, in) in 8 bits with one scale a row; the operator wants bfloat16 vectors."""
    scales = (weight.abs().amax(dim=1).clamp(min=1e-10) / 127).bfloat16()  # (out,)
    column = scales.float()[:, None]  # (out, 1)
    rounded = (weight / column).round().clamp(-127, 127).to(torch.int8)  # (out, in)
    multiply = torch.ops.aten._weight_int8pack_mm.default
    return QuantizedLinear(
        lambda x: multiply(x.bfloat16(), rounded, scales),
        lambda index: rounded[index] * column[index],
    )


FORMATS = {"int8": int8, "float32": float32, "bfloat16": bfloat16}
INPUT_DTYPES = {"int8": torch.bfloat16, "float32": torch.float32, "bfloat16": torch.bfloat16}
"""The number format each computes in: vectors that have it already are not converted."""


@torch.inference_mode()
def choose_format(weight: Tensor) -> str:
    """The name of the best of FORMATS for matrices such as weight (out, in), on its device."""
    if weight.device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if weight.device.type != "cpu":
        return "float32"
    return "int8" if _int8_is_good(weight[:_TRIAL_ROWS].float()) else "float32"


def _int8_is_good(weight: Tensor) -> bool:
    """True if int8 products with weight (out, in) are faster than exact ones, and near them."""
    x = torch.randn(1, weight.size(1), generator=torch.Generator().manual_seed(1))  # (1, in)
    exact = float32(weight)
    try:
        rounded = int8(weight)
        error = (rounded(x) - exact(x)).norm() / exact(x).norm()
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool(error < _MAX_RELATIVE_ERROR) and _seconds(rounded, x) < _seconds(exact, x)


def _seconds(matrix: QuantizedLinear, x: Tensor) -> float:
    """Seconds for one product with x (1, in): the least of a few trials, for load adds."""
    times = []
    for _ in range(_TRIALS):
        begin = time.perf_counter()
        matrix(x)
        times.append(time.perf_counter() - begin)
    return min(times)
