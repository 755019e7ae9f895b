"""The Transformer as the generator runs it: one sequence, one token at a time, fast.

It computes what model.transformer computes, which stays the reference, with fewer and cheaper
operations: prefill and one-token decoding apart (as in gpt-fast), weights in the one form that
model.inference.quantization chooses, norm weights and the softmax's scale folded into the matrices
behind them, keys and values in buffers made once.

A full context slides without being read again: rotary positions only matter by their distance, so
each new token takes the place of the oldest one in the buffers, and positions count on.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from model.inference.quantization import FORMATS, WANTED_DTYPES, QuantizedLinear, choose_form
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
    """The matrices of one block; norms are folded into what follows them."""

    qkv: QuantizedLinear
    out: QuantizedLinear
    gate_up: QuantizedLinear
    down: QuantizedLinear


class _Buffers:
    """Where the numbers of one token are, with views of their parts, made once.

    Attributes:
        x: (1, C), what goes from block to block.
        qkv: (1, 3C); `q` (H, 1, D), `kv` (2, H, D) and `qk_pairs` (2, H, D / 2), complex, are
            parts of it.
        normed (1, C), gathered (1, C) and hidden (1, F): what the products read, in their dtype.
    """

    def __init__(self, config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> None:
        c = config
        # The last number makes the vector's length the root of Σx² + C·ε, as RMSNorm wants.
        self._x_and_epsilon = torch.full((1, c.width + 1), math.sqrt(c.width * NORM_EPSILON))
        self._x_and_epsilon = self._x_and_epsilon.to(device)
        self.x = self._x_and_epsilon[:, :-1]
        self.qkv = torch.zeros(1, 3 * c.width, device=device)
        heads = self.qkv.view(3, c.heads, -1)  # (3, H, D)
        self.q, self.kv = heads[0].unsqueeze(1), heads[1:]
        self.qk_pairs = torch.view_as_complex(heads[:2].view(2, c.heads, -1, 2))
        self.normed = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.gathered = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.gathered_heads = self.gathered.view(c.heads, 1, -1)  # (H, 1, D)
        self.hidden = torch.zeros(1, c.hidden, device=device, dtype=dtype)

    def norm_x(self) -> Tensor:
        """RMSNorm of x, less its weight and the factor √C, in `normed`."""
        return torch.div(self.x, torch.linalg.vector_norm(self._x_and_epsilon), out=self.normed)


class InferenceEngine:
    """Logits of the next token for one sequence at a time.

    Attributes:
        form: which of model.inference.quantization' forms the weights have.
        device: where it computes.
    """

    def __init__(self, model: Transformer, form: str | None = None) -> None:
        """Make the weights ready, on the device they are on; the fastest form if none is given.

        The model is not needed, nor kept, afterwards.
        """
        c = model.config
        self._heads = c.heads
        self._context = c.context_length
        self.device = device = model.embedding.weight.device
        with torch.inference_mode():
            self.form = form or choose_form(model.embedding.weight)
            self._layers = [self._make_layer(block) for block in cast(list[Block], model.blocks)]
            self._head = FORMATS[self.form](model.embedding.weight)  # also the embedding
            self._norm = model.norm.weight * math.sqrt(c.width)
            shape = (c.layers, 2, c.heads, c.context_length, c.width // c.heads)
            self._cache = torch.zeros(shape, device=device)  # keys and values
            self._buffers = _Buffers(c, device, WANTED_DTYPES[self.form])
            head = c.width // c.heads
            exponents = torch.arange(0, head, 2, device=device).float() / head
            self._frequencies = ROTARY_BASE**-exponents  # (D/2,)
            self._ones = torch.ones_like(self._frequencies)
        self._position = 0

    def _make_layer(self, block: Block) -> _Layer:
        make = FORMATS[self.form]
        attention, mlp = block.attention, block.mlp
        root = math.sqrt(attention.qkv.in_features)
        qkv = attention.qkv.weight * (block.norm1.weight * root)
        width = qkv.size(1)
        qkv[:width] /= math.sqrt(width // self._heads)  # attention's softmax(q·k / √D)
        return _Layer(
            qkv=make(qkv),
            out=make(attention.out.weight),
            gate_up=make(mlp.gate_up.weight * (block.norm2.weight * root)),
            down=make(mlp.down.weight),
        )

    @torch.inference_mode()
    def prefill(self, ids: list[int]) -> Tensor:
        """Begin a sequence with these ids; logits (V,) of the one after the newest.

        Only the newest ids that fit into the context are read.
        """
        ids = ids[-self._context :]
        self._position = count = len(ids)
        positions = torch.arange(count, device=self.device)
        turns = torch.polar(
            self._ones.expand(count, -1), torch.outer(positions, self._frequencies)
        )  # (T, D/2) complex
        x = self._head.rows(torch.tensor(ids, device=self.device))  # (T, C)
        for layer, kept in zip(self._layers, self._cache[..., :count, :], strict=True):
            qkv = layer.qkv.times(_normed(x)).float().view(count, 3, self._heads, -1)
            q, k, v = qkv.permute(1, 2, 0, 3)  # (H, T, D) each
            q = rotate(q[None], turns)  # (1, H, T, D)
            kept[0], kept[1] = rotate(k[None], turns)[0], v
            y = F.scaled_dot_product_attention(q, kept[:1], kept[1:], is_causal=True, scale=1.0)
            x = x + layer.out.times(y[0].transpose(0, 1).reshape(x.shape))
            gate, up = layer.gate_up.times(_normed(x)).chunk(2, dim=-1)  # (T, F) each
            x = x + layer.down.times(F.silu(gate) * up)
        return self._head.times(_normed(x[-1:]) * self._norm)[0].float()

    @torch.inference_mode()
    def step(self, token: int) -> Tensor:
        """Append one id; logits (V,) of the one after it."""
        turn = torch.polar(self._ones, self._frequencies * self._position)  # (D/2,) complex
        place = self._position % self._context
        self._position += 1
        filled = min(self._position, self._context)
        both = self._cache  # (layers, 2, H, context, D)
        places = both[..., place, :].unbind()  # (2, H, D) for each layer
        keys = both[:, 0, :, :filled].mT.unbind()  # (H, D, S) for each layer
        values = both[:, 1, :, :filled].unbind()  # (H, S, D) for each layer
        b = self._buffers
        b.x.copy_(self._head.rows(token))
        for layer, new, k, v in zip(self._layers, places, keys, values, strict=True):
            b.qkv.copy_(layer.qkv.times(b.norm_x()))
            b.qk_pairs.mul_(turn)  # rotates q and k where they are
            new.copy_(b.kv)
            weights = torch.bmm(b.q, k).softmax(dim=-1)  # (H, 1, S)
            b.gathered_heads.copy_(torch.bmm(weights, v))
            b.x.add_(layer.out.times(b.gathered))
            gate, up = layer.gate_up.times(b.norm_x()).chunk(2, dim=-1)  # (1, F) each
            torch.mul(F.silu(gate), up, out=b.hidden)
            b.x.add_(layer.down.times(b.hidden))
        return self._head.times(b.norm_x().mul_(self._norm))[0].float()


def _normed(x: Tensor) -> Tensor:
    """RMSNorm of x (T, C), less its weight and the factor √C."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (T, 1)
    return x / torch.sqrt(length.square() + x.size(-1) * NORM_EPSILON)
