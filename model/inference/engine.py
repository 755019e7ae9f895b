"""The inference engine: runs the Transformer on one sequence, one token at a time, fast.

It computes what model.transformer, the reference, computes, with fewer and cheaper operations:
prefill and single-token decoding apart (as in gpt-fast), weights in the number format that
model.inference.quantization chooses, norm weights and the softmax's scale folded into the matrices
behind them, a key–value cache and activation buffers allocated once. It knows token ids only.

A full context slides without being read again (a ring buffer): rotary positions only matter by
their distance, so each new token overwrites the oldest one, and positions count on.

Letters in shapes: T new tokens, S tokens in the cache, V vocabulary, C width, H heads, D = C / H,
F hidden, L layers.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.quantization import FORMATS, INPUT_DTYPES, QuantizedLinear, choose_format
from model.transformer import (
    NORM_EPSILON,
    ROTARY_BASE,
    Block,
    Transformer,
    TransformerConfig,
    rotate,
)


@dataclass(frozen=True)
class _Layer:
    """The matrices of one block; the weights of its norms are folded into `qkv` and `gate_up`."""

    qkv: QuantizedLinear  # (3C, C)
    out: QuantizedLinear  # (C, C)
    gate_up: QuantizedLinear  # (2F, C)
    down: QuantizedLinear  # (C, F)


class _Buffers:
    """Activations of the one token that is being decoded, with views of their parts.

    Attributes:
        x: (1, C), the residual stream.
        qkv: (1, 3C), with its views `q` (H, 1, D), `kv` (2, H, D) and `qk_pairs` (2, H, D / 2),
            complex.
        normed (1, C), attended (1, C) and hidden (1, F): inputs of the matrices, in their dtype.
        attended_heads: (H, 1, D), a view of `attended`.
    """

    def __init__(self, config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> None:
        c = config
        # The last number makes the vector's length the root of Σx² + C·ε, as in RMSNorm.
        self._x_and_epsilon = torch.full((1, c.width + 1), math.sqrt(c.width * NORM_EPSILON))
        self._x_and_epsilon = self._x_and_epsilon.to(device)  # (1, C + 1)
        self.x = self._x_and_epsilon[:, :-1]
        self.qkv = torch.zeros(1, 3 * c.width, device=device)
        heads = self.qkv.view(3, c.heads, -1)  # (3, H, D)
        self.q, self.kv = heads[0].unsqueeze(1), heads[1:]
        self.qk_pairs = torch.view_as_complex(heads[:2].view(2, c.heads, -1, 2))
        self.normed = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.attended = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.attended_heads = self.attended.view(c.heads, 1, -1)
        self.hidden = torch.zeros(1, c.hidden, device=device, dtype=dtype)

    def norm_x(self) -> Tensor:
        """RMSNorm of x without its weight and the factor √C, (1, C), in `normed`."""
        return torch.div(self.x, torch.linalg.vector_norm(self._x_and_epsilon), out=self.normed)


class InferenceEngine:
    """Logits of the next token for one sequence at a time.

    Attributes:
        weight_format: a name of model.inference.quantization.FORMATS.
        device: the device that computes.
    """

    def __init__(self, model: Transformer, weight_format: str | None = None) -> None:
        """Convert the weights on their device, into the fastest format if none is given.

        The model itself is not kept.
        """
        c = model.config
        self._heads = c.heads
        self._context = c.context_length
        self.device = device = model.embedding.weight.device
        head_width = c.width // c.heads  # D
        with torch.inference_mode():
            self.weight_format = weight_format or choose_format(model.embedding.weight)
            self._layers = [self._make_layer(block) for block in cast(list[Block], model.blocks)]
            self._head = FORMATS[self.weight_format](model.embedding.weight)  # also the embedding
            self._norm = model.norm.weight * math.sqrt(c.width)  # (C,)
            cache_shape = (c.layers, 2, c.heads, c.context_length, head_width)
            self._kv_cache = torch.zeros(cache_shape, device=device)  # keys [:, 0], values [:, 1]
            self._buffers = _Buffers(c, device, INPUT_DTYPES[self.weight_format])
            exponents = torch.arange(0, head_width, 2, device=device).float() / head_width
            self._frequencies = ROTARY_BASE**-exponents  # (D/2,)
            self._ones = torch.ones_like(self._frequencies)  # (D/2,)
        self._position = 0

    def _make_layer(self, block: Block) -> _Layer:
        make = FORMATS[self.weight_format]
        attention, mlp = block.attention, block.mlp
        width = attention.qkv.in_features
        root = math.sqrt(width)  # RMSNorm's factor, which `norm_x` and `_normed` leave out
        qkv = attention.qkv.weight * (block.norm1.weight * root)  # (3C, C)
        qkv[:width] /= math.sqrt(width // self._heads)  # attention's softmax(q·k / √D)
        return _Layer(
            qkv=make(qkv),
            out=make(attention.out.weight),
            gate_up=make(mlp.gate_up.weight * (block.norm2.weight * root)),
            down=make(mlp.down.weight),
        )

    @torch.inference_mode()
    def prefill(self, ids: list[int]) -> Tensor:
        """Begin a sequence with these ids; returns logits (V,) of the next one.

        Only the newest ids that fit into the context are read.
        """
        ids = ids[-self._context :]
        self._position = count = len(ids)  # T
        positions = torch.arange(count, device=self.device)  # (T,)
        angles = torch.outer(positions, self._frequencies)  # (T, D/2)
        rotations = torch.polar(self._ones.expand(count, -1), angles)  # (T, D/2) complex
        x = self._head.rows(torch.tensor(ids, device=self.device))  # (T, C)
        for layer, kv in zip(self._layers, self._kv_cache[..., :count, :], strict=True):
            qkv = layer.qkv(_normed(x)).float().view(count, 3, self._heads, -1)  # (T, 3, H, D)
            q, k, v = qkv.permute(1, 2, 0, 3)  # (H, T, D) each
            q = rotate(q[None], rotations)  # (1, H, T, D)
            kv[0], kv[1] = rotate(k[None], rotations)[0], v  # kv: (2, H, T, D)
            y = F.scaled_dot_product_attention(q, kv[:1], kv[1:], is_causal=True, scale=1.0)
            x = x + layer.out(y[0].transpose(0, 1).reshape(x.shape))  # (T, C)
            gate, up = layer.gate_up(_normed(x)).chunk(2, dim=-1)  # (T, F) each
            x = x + layer.down(F.silu(gate) * up)  # (T, C)
        return self._head(_normed(x[-1:]) * self._norm)[0].float()  # (V,)

    @torch.inference_mode()
    def step(self, token: int) -> Tensor:
        """Append one id; returns logits (V,) of the next one."""
        rotation = torch.polar(self._ones, self._frequencies * self._position)  # (D/2,) complex
        slot = self._position % self._context
        self._position += 1
        filled = min(self._position, self._context)  # S
        new_kv = self._kv_cache[..., slot, :].unbind()  # L of (2, H, D)
        keys = self._kv_cache[:, 0, :, :filled].mT.unbind()  # L of (H, D, S)
        values = self._kv_cache[:, 1, :, :filled].unbind()  # L of (H, S, D)
        b = self._buffers
        b.x.copy_(self._head.rows(token))  # (1, C)
        for layer, kv, k, v in zip(self._layers, new_kv, keys, values, strict=True):
            b.qkv.copy_(layer.qkv(b.norm_x()))  # (1, 3C)
            b.qk_pairs.mul_(rotation)  # rotates q and k in place
            kv.copy_(b.kv)  # (2, H, D)
            attention = torch.bmm(b.q, k).softmax(dim=-1)  # (H, 1, S)
            b.attended_heads.copy_(torch.bmm(attention, v))  # (H, 1, D)
            b.x.add_(layer.out(b.attended))  # (1, C)
            gate, up = layer.gate_up(b.norm_x()).chunk(2, dim=-1)  # (1, F) each
            torch.mul(F.silu(gate), up, out=b.hidden)  # (1, F)
            b.x.add_(layer.down(b.hidden))  # (1, C)
        return self._head(b.norm_x().mul_(self._norm))[0].float()  # (V,)


def _normed(x: Tensor) -> Tensor:
    """RMSNorm of x (T, C) without its weight and the factor √C."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (T, 1)
    return x / torch.sqrt(length.square() + x.size(-1) * NORM_EPSILON)  # (T, C)
