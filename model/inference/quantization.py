"""Weight-only quantised matrix–vector products (int4, int8, bfloat16, float32), for one token.

At batch 1 a product takes as long as reading its weights. On a CPU, 8-bit weights with one scale a
row are read four times as fast as float32 and cost no measurable quality; weights that their file
holds in blocks of 4 bits stay in these. The operators are private to torch, so each is tried on a
matrix of the model first: another format is used where torch lacks one, or where it computes
something else or is slower.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from model.checkpoints.blocks import (
    BLOCK,
    Adapted,
    Blocks,
    Matrix,
    base_of,
    dense,
    parts,
    quantize,
)

_TRIALS = 7
_MAX_RELATIVE_ERROR = 0.1  # of the product's norm; rounding to 8 bits costs 0.01 to 0.04
_TRIAL_ROWS = 16_384  # too many for a processor's nearest caches
_PART_ROWS = 4096  # that are converted at a time: a large matrix exists once in float32 at no time
_INT4_ROWS = 16  # the number of rows is a multiple of it
_INNER_TILES = 1  # of the packed layout; the CPU's operator does not use it


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


def float32(weight: Matrix) -> QuantizedLinear:
    """Exact products with weight (out, in); a CPU reads the transposed matrix twice as fast."""
    transposed = dense(weight).t().contiguous()  # (in, out)
    return QuantizedLinear(lambda x: x.float() @ transposed, lambda index: transposed.t()[index])


def bfloat16(weight: Matrix) -> QuantizedLinear:
    """Weight (out, in) in half the bytes of float32, for the matrix units of GPUs."""
    rounded = torch.cat([part.bfloat16() for part in parts(weight, _PART_ROWS)])  # (out, in)
    return QuantizedLinear(
        lambda x: F.linear(x.bfloat16(), rounded), lambda index: rounded[index].float()
    )


def int8(weight: Matrix) -> QuantizedLinear:
    """Weight (out, in) in 8 bits with one scale a row; the operator wants bfloat16 vectors."""
    rounded = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)  # (out, in)
    scales = torch.empty(len(weight), dtype=torch.bfloat16, device=weight.device)  # (out,)
    begin = 0
    for part in parts(weight, _PART_ROWS):
        place = slice(begin, begin := begin + len(part))
        rounded[place], scales[place] = _to_int8(part)
    column = scales.float()[:, None]  # (out, 1)
    multiply = torch.ops.aten._weight_int8pack_mm.default
    return QuantizedLinear(
        lambda x: multiply(x.bfloat16(), rounded, scales),
        lambda index: rounded[index] * column[index],
    )


def _to_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Integers (out, in) and scales (out,) of a weight (out, in)."""
    scales = (weight.abs().amax(dim=1).clamp(min=1e-10) / 127).bfloat16()  # (out,)
    rounded = weight / scales.float()[:, None]  # (out, in)
    return rounded.round_().clamp_(-127, 127).to(torch.int8), scales


def int4(weight: Matrix) -> QuantizedLinear:
    """Weight (out, in) in its blocks of 4 bits; of others, the nearest such blocks.

    The operator computes (q - 8) · scale + zero, with scales and zeros in bfloat16. An adapter is
    computed beside it.
    """
    if isinstance(weight, Adapted):
        return _beside(int4(weight.base), weight)
    kept = isinstance(weight, Blocks) and weight.in_4_bits
    blocks = cast(Blocks, weight) if kept else quantize(dense(weight))
    scales, minima = blocks.scales_and_minima()  # (out, G) each
    scales_and_zeros = torch.stack([scales, minima + 8 * scales], dim=-1)  # (out, G, 2)
    scales_and_zeros = scales_and_zeros.transpose(0, 1).bfloat16().contiguous()  # (G, out, 2)
    convert = torch.ops.aten._convert_weight_to_int4pack_for_cpu.default
    packed = convert(blocks.integers().int(), _INNER_TILES)  # (out, in / 2)
    multiply = torch.ops.aten._weight_int4pack_mm_for_cpu.default
    return QuantizedLinear(
        lambda x: multiply(x.bfloat16(), packed, BLOCK, scales_and_zeros),
        lambda index: blocks[index].dense(),
    )


def _beside(base: QuantizedLinear, weight: Adapted) -> QuantizedLinear:
    """The sum of the products with a base and with its adapter, in float32.

    Such small products take an eighth of the time that they take in bfloat16. Who keeps `product`
    alone does not keep the base's blocks, from which `rows` reads.
    """
    product, rows = base.product, base.rows
    down = weight.down.t().float().contiguous()  # (in, R)
    up = weight.up.t().float().contiguous()  # (R, out)
    return QuantizedLinear(
        lambda x: torch.addmm(product(x).float(), x.float() @ down, up),
        lambda index: rows(index) + weight.up.float()[index] @ down.t(),
    )


def fits_int4(matrix: Matrix) -> bool:
    """True if the operator of `int4` takes a matrix of this shape; vectors have none."""
    shape = matrix.shape
    return len(shape) != 2 or (shape[0] % _INT4_ROWS == 0 and shape[1] % BLOCK == 0)


FORMATS = {"int4": int4, "int8": int8, "float32": float32, "bfloat16": bfloat16}
INPUT_DTYPES = {
    "int4": torch.bfloat16,
    "int8": torch.bfloat16,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
}
"""The number format each computes in: vectors that have it already are not converted."""


@torch.inference_mode()
def choose_format(weight: Matrix) -> str:
    """The name of the best of FORMATS for matrices such as weight (out, in), on its device."""
    if weight.device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if weight.device.type != "cpu":
        return "float32"
    sample = weight[:_TRIAL_ROWS]
    base = base_of(weight)
    in_4_bits = isinstance(base, Blocks) and base.in_4_bits
    candidates = ("int4", "int8") if in_4_bits else ("int8",)
    return next((name for name in candidates if _is_good(FORMATS[name], sample)), "float32")


def _is_good(make: Callable[[Matrix], QuantizedLinear], weight: Matrix) -> bool:
    """True if products in this format with weight (out, in) are faster than exact ones, and near.

    A 4-bit matrix is compared with what its blocks hold.
    """
    x = torch.randn(1, weight.shape[1], generator=torch.Generator().manual_seed(1))  # (1, in)
    exact = float32(weight)
    try:
        rounded = make(weight)
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
