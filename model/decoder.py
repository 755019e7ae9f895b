"""The Transformer as the generator runs it: one sequence, one token at a time, fast.

It computes what model.transformer computes, which stays the reference, with fewer and cheaper
operations: prefill and one-token decoding apart (as in gpt-fast), weights in the form that
model.products chooses, norm weights and the softmax's scale folded into the matrices behind them,
keys and values in buffers made once.

A full context slides without being read again: rotary positions only matter by their distance, so
each new token takes the place of the oldest one in the buffers, and positions count on.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from model.products import FORMS, WANTED_DTYPES, Product, choose_form
from model.transformer import (
    NORM_EPSILON,
    ROTARY_BASE,
    Block,
    Cache,
    Transformer,
    TransformerConfig,
)


@dataclass(frozen=True)
class _Layer:
    """The products of one block; norms are folded into what follows them."""

    qkv: Product
    out: Product
    gate_up: Product
    down: Product


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


class Decoder:
    """Logits of the next token for one sequence at a time.

    Attributes:
        form: which of model.products' forms the weights have.
        device: where it computes.
    """

    def __init__(self, model: Transformer, form: str | None = None) -> None:
        """Make the weights ready, on the device they are on; the fastest form if none is given."""
        c = model.config
        self._model = model
        self._heads = c.heads
        self._context = c.context_length
        self.device = device = model.embedding.weight.device
        with torch.inference_mode():
            self.form = form or choose_form(model.embedding.weight)
            self._layers = [self._make_layer(block) for block in cast(list[Block], model.blocks)]
            self._head = FORMS[self.form](model.embedding.weight)
            self._norm = model.norm.weight * math.sqrt(c.width)
            self._cache = Cache(c, device=device)
            self._buffers = _Buffers(c, device, WANTED_DTYPES[self.form])
            head = c.width // c.heads
            exponents = torch.arange(0, head, 2, device=device).float() / head
            self._frequencies = ROTARY_BASE**-exponents  # (D/2,)
            self._ones = torch.ones_like(self._frequencies)
        self._position = 0

    def _make_layer(self, block: Block) -> _Layer:
        make = FORMS[self.form]
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
        self._cache.length = 0
        tokens = torch.tensor([ids], device=self._norm.device)  # (1, T)
        states = self._model.states(tokens, self._cache)  # (1, T, C)
        self._position = len(ids)
        return self._head(states[:, -1])[0].float()

    @torch.inference_mode()
    def step(self, token: int) -> Tensor:
        """Append one id; logits (V,) of the one after it."""
        turn = torch.polar(self._ones, self._frequencies * self._position)  # (D/2,) complex
        place = self._position % self._context
        self._position += 1
        filled = min(self._position, self._context)
        both = self._cache.both[:, :, 0]  # (layers, 2, H, context, D)
        places = both[..., place, :].unbind()  # (2, H, D) for each layer
        keys = both[:, 0, :, :filled].mT.unbind()  # (H, D, S) for each layer
        values = both[:, 1, :, :filled].unbind()  # (H, S, D) for each layer
        b = self._buffers
        b.x.copy_(self._model.embedding.weight[token])
        for layer, new, k, v in zip(self._layers, places, keys, values, strict=True):
            b.qkv.copy_(layer.qkv(b.norm_x()))
            b.qk_pairs.mul_(turn)  # rotates q and k where they are
            new.copy_(b.kv)
            weights = torch.bmm(b.q, k).softmax(dim=-1)  # (H, 1, S)
            b.gathered_heads.copy_(torch.bmm(weights, v))
            b.x.add_(layer.out(b.gathered))
            gate, up = layer.gate_up(b.norm_x()).chunk(2, dim=-1)  # (1, F) each
            torch.mul(F.silu(gate), up, out=b.hidden)
            b.x.add_(layer.down(b.hidden))
        return self._head(b.norm_x().mul_(self._norm))[0].float()
