"""The inference engine: runs the Transformer on one sequence, one token at a time, fast.

It computes what model.transformer, the reference, computes, with fewer and cheaper operations:
prefill and single-token decoding apart (as in gpt-fast), weights in the number format that
model.inference.quantization chooses, norm weights folded into the matrices behind them where these
have no blocks, a key–value cache and activation buffers allocated once. It knows token ids only.

A full context slides without being read again (a ring buffer): rotary positions only matter by
their distance, so each new token overwrites the oldest one, and positions count on.

Letters in shapes: T new tokens, S tokens in the cache, V vocabulary, C width, H heads, K heads of
keys and values, D = C / H, F hidden, L layers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model.checkpoints.blocks import Blocks, Matrix, base_of, dense
from model.checkpoints.stored_model import StoredModel
from model.inference.quantization import FORMATS, INPUT_DTYPES, choose_format, fits_int4
from model.transformer import (
    NORM_EPSILON,
    Transformer,
    TransformerConfig,
    rotary_frequencies,
    rotate,
)

Product = Callable[[Tensor], Tensor]
"""Vectors (T, in) to their products with a matrix, (T, out)."""


@dataclass(frozen=True)
class _Layer:
    """The matrices of one block, and the weights of its norms that are not folded into them.

    Attributes:
        norm1, norm2: (C,) with RMSNorm's factor √C; None if `qkv` and `gate_up` hold them.
    """

    norm1: Tensor | None
    qkv: Product  # C to (H + 2K)·D
    out: Product  # C to C
    norm2: Tensor | None
    gate_up: Product  # C to 2F
    down: Product  # F to C


class _Buffers:
    """Activations of the one token that is being decoded, with views of their parts.

    Attributes:
        x: (1, C), the residual stream.
        qkv: (1, (H + 2K)·D), with its views `q` (K, H / K, D), `kv` (2, K, D) and `qk_pairs`
            (H + K, D / 2), complex.
        normed (1, C), attended (1, C) and hidden (1, F): inputs of the matrices, in their dtype.
        attended_heads: (K, H / K, D), a view of `attended`.
    """

    def __init__(self, config: TransformerConfig, device: torch.device, dtype: torch.dtype) -> None:
        c = config
        h, k, d = c.heads, c.kv_heads, c.head_width
        # The last number makes the vector's length the root of Σx² + C·ε, as in RMSNorm.
        self._x_and_epsilon = torch.full((1, c.width + 1), math.sqrt(c.width * NORM_EPSILON))
        self._x_and_epsilon = self._x_and_epsilon.to(device)  # (1, C + 1)
        self.x = self._x_and_epsilon[:, :-1]
        self.qkv = torch.zeros(1, (h + 2 * k) * d, device=device)
        heads = self.qkv.view(-1, d)  # (H + 2K, D)
        self.q, self.kv = heads[:h].view(k, h // k, d), heads[h:].view(2, k, d)
        self.qk_pairs = torch.view_as_complex(heads[: h + k].view(h + k, -1, 2))
        self.normed = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.attended = torch.zeros(1, c.width, device=device, dtype=dtype)
        self.attended_heads = self.attended.view(k, h // k, d)
        self.hidden = torch.zeros(1, c.hidden, device=device, dtype=dtype)

    def norm_x(self, weight: Tensor | None) -> Tensor:
        """RMSNorm of x with this weight (C,) · √C, or without both, (1, C), in `normed`."""
        length = torch.linalg.vector_norm(self._x_and_epsilon)  # ()
        if weight is None:
            return torch.div(self.x, length, out=self.normed)
        return torch.mul(self.x, weight / length, out=self.normed)


class InferenceEngine:
    """Logits of the next token for one sequence at a time.

    Attributes:
        weight_format: a name of model.inference.quantization.FORMATS, that of the matrices.
        head_format: that of the head, which is also the embedding.
        device: the device that computes.
    """

    def __init__(
        self,
        model: Transformer | StoredModel,
        weight_format: str | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Convert the weights on a device, into the fastest format if none is given.

        The model itself is not kept. The device is that of the model, if none is given.
        """
        stored = StoredModel.of(model) if isinstance(model, Transformer) else model
        self._config = c = stored.config
        norm = dense(stored.tensors["norm.weight"])
        self.device = device = torch.device(device or norm.device)
        with torch.inference_mode():
            embedding, matrix = (
                _to(stored.tensors[name], device)
                for name in ("embedding.weight", "blocks.0.mlp.gate_up.weight")
            )
            # 4 bits are too coarse for the head.
            given = None if weight_format == "int4" else weight_format
            self.head_format = given or choose_format(embedding)
            in_blocks = isinstance(base_of(matrix), Blocks)
            chosen = choose_format(matrix) if in_blocks else self.head_format
            if chosen == "int4" and not all(
                fits_int4(tensor) for name, tensor in stored.tensors.items() if "blocks" in name
            ):
                chosen = "int8"
            self.weight_format = weight_format or chosen
            self._head = FORMATS[self.head_format](embedding)
            self._layers = [self._make_layer(stored, number) for number in range(c.layers)]
            self._norm = norm.to(device) * math.sqrt(c.width)  # (C,)
            cache_shape = (c.layers, 2, c.kv_heads, c.context_length, c.head_width)
            self._kv_cache = torch.zeros(cache_shape, device=device)  # keys [:, 0], values [:, 1]
            self._buffers = _Buffers(c, device, INPUT_DTYPES[self.weight_format])
            self._frequencies = rotary_frequencies(c).to(device)  # (D/2,)
            lengths = torch.ones(c.heads + c.kv_heads, 1)  # of rotations: q is scaled by them, too
            lengths[: c.heads] /= math.sqrt(c.head_width)  # attention's softmax(q·k / √D)
            self._lengths = lengths.to(device)  # (H + K, 1)
        self._position = 0
        self._read: list[int] = []  # ids whose keys and values are at the beginning of the cache
        self._logits: Tensor | None = None  # (V,) of the newest prefill, until a step follows it

    def _make_layer(self, stored: StoredModel, number: int) -> _Layer:
        matrices = {
            name.removeprefix(f"blocks.{number}."): _to(tensor, self.device)
            for name, tensor in stored.tensors.items()
            if name.startswith(f"blocks.{number}.")
        }
        norm1, qkv = self._fold(matrices["norm1.weight"], matrices["attention.qkv.weight"])
        norm2, gate_up = self._fold(matrices["norm2.weight"], matrices["mlp.gate_up.weight"])
        make = FORMATS[self.weight_format]
        out, down = make(matrices["attention.out.weight"]), make(matrices["mlp.down.weight"])
        return _Layer(norm1, qkv, out.product, norm2, gate_up, down.product)

    def _fold(self, norm: Matrix, matrix: Matrix) -> tuple[Tensor | None, Product]:
        """The weight of a norm, and the product with a matrix (out, C) behind it.

        The norm has a weight for each column. Blocks have one scale for 32, so it stays apart.
        """
        make = FORMATS[self.weight_format]
        weight = dense(norm) * math.sqrt(self._config.width)  # RMSNorm's factor is left out later
        if self.weight_format == "int4":
            return weight, make(matrix).product
        return None, make(dense(matrix) * weight).product

    @torch.inference_mode()
    def prefill(self, ids: list[int]) -> Tensor:
        """Begin a sequence with these ids; returns logits (V,) of the next one.

        Only the newest ids that fit into the context are read, and of these only what follows the
        longest beginning that the last sequence has, too: its keys and values are still there. The
        same ids again give the same logits without being read.
        """
        c = self._config
        ids = ids[-c.context_length :]
        if self._logits is not None and ids == self._read:
            return self._logits
        self._logits = None
        before = self._common(ids)  # tokens that are not read again
        del self._read[before:]
        count = len(ids)  # S
        positions = torch.arange(before, count, device=self.device)  # (T,)
        angles = torch.outer(positions, self._frequencies)  # (T, D/2)
        rotations = torch.polar(torch.ones_like(angles), angles)  # (T, D/2) complex
        mask = torch.ones(count - before, count, dtype=torch.bool, device=self.device).tril(before)
        x = self._head.rows(torch.tensor(ids[before:], device=self.device))  # (T, C)
        heads = [c.heads, c.kv_heads, c.kv_heads]  # of q, k and v
        for layer, kv in zip(self._layers, self._kv_cache[..., :count, :], strict=True):
            qkv = layer.qkv(_normed(x, layer.norm1)).float()  # (T, (H + 2K)·D)
            parts = qkv.view(len(x), -1, c.head_width).transpose(0, 1)  # (H + 2K, T, D)
            q, k, v = torch.split(parts, heads)  # (H, T, D), (K, T, D) twice
            q = rotate(q[None], rotations)  # (1, H, T, D)
            kv[0, :, before:] = rotate(k[None], rotations)[0]  # kv: (2, K, S, D)
            kv[1, :, before:] = v
            y = F.scaled_dot_product_attention(q, kv[:1], kv[1:], mask, enable_gqa=True)
            x = x + layer.out(y[0].transpose(0, 1).reshape(x.shape))  # (T, C)
            gate, up = layer.gate_up(_normed(x, layer.norm2)).chunk(2, dim=-1)  # (T, F) each
            x = x + layer.down(F.silu(gate) * up)  # (T, C)
        self._position, self._read = count, ids
        self._logits = self._head(_normed(x[-1:], self._norm))[0].float()  # (V,)
        return self._logits

    def forget(self) -> None:
        """Make the next prefill read all of its ids."""
        self._read.clear()

    def _common(self, ids: list[int]) -> int:
        """How many of the first ids are those of the last sequence; the last one never counts."""
        pairs = enumerate(zip(self._read, ids[:-1], strict=False))
        return next((i for i, (a, b) in pairs if a != b), min(len(self._read), len(ids) - 1))

    @torch.inference_mode()
    def step(self, token: int) -> Tensor:
        """Append one id; returns logits (V,) of the next one."""
        self._logits = None
        angles = self._frequencies * self._position  # (D/2,)
        rotations = torch.polar(self._lengths, angles)  # (H + K, D/2) complex
        slot = self._position % self._config.context_length
        self._position += 1
        filled = min(self._position, self._config.context_length)  # S
        new_kv = self._kv_cache[..., slot, :].unbind()  # L of (2, K, D)
        keys = self._kv_cache[:, 0, :, :filled].mT.unbind()  # L of (K, D, S)
        values = self._kv_cache[:, 1, :, :filled].unbind()  # L of (K, S, D)
        if filled < self._position:  # the beginning is overwritten
            self._read.clear()
        b = self._buffers
        b.x.copy_(self._head.rows(token))  # (1, C)
        for layer, kv, k, v in zip(self._layers, new_kv, keys, values, strict=True):
            b.qkv.copy_(layer.qkv(b.norm_x(layer.norm1)))  # (1, (H + 2K)·D)
            b.qk_pairs.mul_(rotations)  # rotates q and k in place
            kv.copy_(b.kv)  # (2, K, D)
            attention = torch.bmm(b.q, k).softmax(dim=-1)  # (K, H / K, S)
            b.attended_heads.copy_(torch.bmm(attention, v))  # (K, H / K, D)
            b.x.add_(layer.out(b.attended))  # (1, C)
            gate, up = layer.gate_up(b.norm_x(layer.norm2)).chunk(2, dim=-1)  # (1, F) each
            torch.mul(F.silu(gate), up, out=b.hidden)  # (1, F)
            b.x.add_(layer.down(b.hidden))  # (1, C)
        if filled == self._position:
            self._read.append(token)
        return self._head(b.norm_x(self._norm))[0].float()  # (V,)


def _normed(x: Tensor, weight: Tensor | None) -> Tensor:
    """RMSNorm of x (T, C) with this weight (C,) · √C, or without both."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (T, 1)
    normed = x / torch.sqrt(length.square() + x.size(-1) * NORM_EPSILON)  # (T, C)
    return normed if weight is None else normed * weight


def _to(matrix: Matrix, device: torch.device) -> Matrix:
    """The matrix on a device; blocks, which only the CPU's operator takes, become float32."""
    return matrix if device.type == "cpu" else dense(matrix).to(device)
