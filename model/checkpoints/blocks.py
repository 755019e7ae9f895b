"""Matrices in blocks: each 32 neighbours in a row share a scale, as in llama.cpp's files.

A number is q · scale + minimum. Four bits for each q are what weights larger than the shipped ones
are kept in: a sixth of float32, at a few hundredths of its bits per byte.

Letters in shapes: N rows (out), M columns (in), G = M / 32 blocks in a row, R rank.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 32  # columns
_LEVELS = 15  # the largest q of four bits


@dataclass(frozen=True)
class Blocks:
    """A matrix (N, M) of four or eight bits a number.

    Attributes:
        quants: of four bits uint8 (N, M / 2), in each block the first half of its columns in the
            low bits and the second half in the high bits; of eight bits int8 (N, M).
        scales: (N, G), in float16.
        minima: (N, G), in float16, of four bits; None of eight bits, where they are 0.
    """

    quants: Tensor
    scales: Tensor
    minima: Tensor | None

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, M)."""
        return *self.scales.shape[:-1], self.scales.shape[-1] * BLOCK

    @property
    def device(self) -> torch.device:
        """Where the blocks are."""
        return self.quants.device

    @property
    def in_4_bits(self) -> bool:
        """False of eight bits."""
        return self.minima is not None

    def __len__(self) -> int:
        return len(self.scales)

    def __getitem__(self, index: int | slice | Tensor) -> "Blocks":
        """The row of an index, or rows."""
        minima = None if self.minima is None else self.minima[index]
        return Blocks(self.quants[index], self.scales[index], minima)

    def integers(self) -> Tensor:
        """The q of each number (N, M): 0 … 15 as uint8, or int8."""
        if self.minima is None:
            return self.quants
        pairs = self.quants.view(*self.scales.shape, BLOCK // 2)  # (N, G, 16)
        return torch.cat([pairs & 15, pairs >> 4], dim=-1).view(self.shape)

    def scales_and_minima(self) -> tuple[Tensor, Tensor]:
        """Both in float32, (N, G) each."""
        scales = self.scales.float()
        return scales, torch.zeros_like(scales) if self.minima is None else self.minima.float()

    def dense(self) -> Tensor:
        """The matrix (N, M) in float32."""
        scales, minima = self.scales_and_minima()
        grouped = self.integers().float().view(*self.scales.shape, BLOCK)  # (N, G, 32)
        return torch.addcmul(minima[..., None], grouped, scales[..., None]).view(self.shape)


@dataclass(frozen=True)
class Adapted:
    """A matrix (N, M) with a low-rank adapter: base + up · down (LoRA, Hu et al. 2021).

    Both stay apart: most of what an adapter changes is less than a step of four bits, and blocks of
    the sum would lose it (docs/lab/large-weights.md).

    Attributes:
        base: (N, M).
        down: (R, M).
        up: (N, R).
    """

    base: Tensor | Blocks
    down: Tensor
    up: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, M)."""
        return tuple(self.base.shape)

    @property
    def device(self) -> torch.device:
        """Where the matrix is."""
        return self.base.device

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int | slice | Tensor) -> "Adapted":
        """The row of an index, or rows."""
        return Adapted(self.base[index], self.down, self.up[index])

    def dense(self) -> Tensor:
        """The matrix (N, M) in float32."""
        return dense(self.base) + self.up.float() @ self.down.float()


Matrix = Tensor | Blocks | Adapted
"""A tensor of a model, in blocks or not, with an adapter or without."""


def dense(matrix: Matrix) -> Tensor:
    """A tensor in float32; one in float32 already is not copied."""
    return matrix.float() if isinstance(matrix, Tensor) else matrix.dense()


def base_of(matrix: Matrix) -> Tensor | Blocks:
    """A matrix without its adapter."""
    return matrix.base if isinstance(matrix, Adapted) else matrix


def parts(matrix: Matrix, rows: int) -> Iterator[Tensor]:
    """A matrix (N, M) in float32, this many rows at a time."""
    for begin in range(0, len(matrix), rows):
        yield dense(matrix[begin : begin + rows])


def pack(integers: Tensor, scales: Tensor, minima: Tensor) -> Blocks:
    """Blocks of integers 0 … 15 (N, M), scales and minima (N, G)."""
    low, high = integers.to(torch.uint8).view(*scales.shape, 2, BLOCK // 2).unbind(dim=2)
    quants = (low | high << 4).reshape(len(integers), -1)  # (N, M / 2)
    return Blocks(quants, scales.half(), minima.half())


def quantize(matrix: Tensor) -> Blocks:
    """Blocks of four bits nearest to a matrix (N, M), from its least and largest number each."""
    grouped = matrix.float().view(len(matrix), -1, BLOCK)  # (N, G, 32)
    minima, maxima = grouped.aminmax(dim=-1)  # (N, G) each
    scales = ((maxima - minima) / _LEVELS).half()
    minima = minima.half()
    divisors = scales.float().clamp(min=1e-10)[..., None]
    integers = ((grouped - minima.float()[..., None]) / divisors).round().clamp(0, _LEVELS)
    return pack(integers.view(matrix.shape), scales, minima)


def quantize_8_bits(matrix: Tensor) -> Blocks:
    """Blocks of eight bits nearest to a matrix (N, M)."""
    grouped = matrix.float().view(len(matrix), -1, BLOCK)  # (N, G, 32)
    scales = (grouped.abs().amax(dim=-1) / 127).half()  # (N, G)
    divisors = scales.float().clamp(min=1e-10)[..., None]
    integers = (grouped / divisors).round().clamp(-127, 127)
    return Blocks(integers.to(torch.int8).view(matrix.shape), scales, None)


def concatenate(parts: list[Blocks]) -> Blocks:
    """Matrices of equal width and bits above each other."""
    minima = [part.minima for part in parts if part.minima is not None]
    return Blocks(
        torch.cat([part.quants for part in parts]),
        torch.cat([part.scales for part in parts]),
        torch.cat(minima) if minima else None,
    )
