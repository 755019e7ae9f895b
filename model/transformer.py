"""The whole model: a decoder-only Transformer in the shape of Llama, small enough for a CPU.

RMSNorm before each part, rotary positions, SwiGLU, no biases, one matrix for embedding and head.
The shape equals that of the story models of llama2.c (https://github.com/karpathy/llama2.c), so
that one of them can be the start of training; the manner is that of nanoGPT. Letters in shapes:
B sequences, T tokens, V vocabulary, C width, H heads, D = C / H, F hidden.

Sources: Vaswani et al. 2017 (Transformer), Zhang & Sennrich 2019 (RMSNorm), Shazeer 2020 (SwiGLU),
Su et al. 2021 (rotary positions), Touvron et al. 2023 (Llama).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-5
ROTARY_BASE = 10_000.0
_LONGEST_PLAIN = 512  # tokens for which `attend` keeps what it needs for going backward


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a model.

    Attributes:
        vocabulary_size: V, the number of ids.
        context_length: how many tokens it can look at.
        layers: blocks one after another.
        heads: attention heads in each block; they share the width.
        width: C, numbers that describe a token between blocks; an even multiple of `heads`.
        hidden: F, the inner width of each block's MLP.
    """

    vocabulary_size: int
    context_length: int
    layers: int
    heads: int
    width: int
    hidden: int

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        sizes = vars(self)
        if any(size < 1 for size in sizes.values()) or self.width % (2 * self.heads):
            raise ValueError(f"no Transformer has the shape {sizes}")


def rotary_table(config: TransformerConfig) -> Tensor:
    """Each position's angles as complex numbers of length 1, (context_length, D / 2)."""
    head = config.width // config.heads
    frequencies = ROTARY_BASE ** (-torch.arange(0, head, 2).float() / head)  # (D/2,)
    angles = torch.outer(torch.arange(config.context_length).float(), frequencies)
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """Turn each pair of neighbours in x (B, H, T, D) by its angle; turns is (T, D / 2), complex."""
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))  # (B, H, T, D/2)
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)  # (B, H, T, D)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention in plain steps, (B, H, T, D) as are queries, keys and values.

    On a CPU two and a half times as fast in training as torch's own, above all backward; that
    one does not keep the (T, T) weights, which longer texts would drown in.
    """
    b, h, t, d = q.shape
    q, k, v = (x.reshape(b * h, t, d) for x in (q, k, v))
    future = torch.full((t, t), -math.inf, device=q.device).triu(1).to(q.dtype)
    scores = torch.baddbmm(future, q, k.mT, alpha=1 / math.sqrt(d))  # (B·H, T, T)
    return torch.bmm(scores.softmax(dim=-1), v).view(b, h, t, d)


class CausalSelfAttention(nn.Module):
    """Causal self-attention: each token gathers from itself and those before it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """Mix x (B, T, C) across positions."""
        b, t, c = x.shape
        qkv = self.qkv(x).view(b, t, 3, self.heads, c // self.heads)  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        q, k = rotate(q, turns), rotate(k, turns)
        if q.requires_grad and q.is_cpu and t <= _LONGEST_PLAIN:
            y = attend(q, k, v)  # (B, H, T, D)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, D)
        return self.out(y.transpose(1, 2).reshape(b, t, c))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """SwiGLU: a gated hidden layer for each position by itself."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform x (B, T, C)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)  # (B, T, F) each
        return self.down(F.silu(gate) * up)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Pre-norm residual block: attention mixes across positions, the MLP within each."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        self.attention = CausalSelfAttention(config)
        self.norm2 = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        self.mlp = Mlp(config)

    def forward(self, x: Tensor, turns: Tensor) -> Tensor:
        """Transform x (B, T, C)."""
        x = x + self.attention(self.norm1(x), turns)  # (B, T, C)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Token ids to logits of the next token."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build a model with random weights, drawn from torch's global generator."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)  # also the head
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        self.register_buffer("turns", rotary_table(config), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """GPT-2's initialisation: what adds to the residual stream starts smaller."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                scale = 1 / math.sqrt(2 * self.config.layers) if residual else 1.0
                nn.init.normal_(weight, std=0.02 * scale)

    def states(self, ids: Tensor) -> Tensor:
        """What the head reads, (B, T, C), after each of ids (B, T)."""
        t = ids.size(1)
        if t > self.config.context_length:
            raise ValueError(f"{t} tokens exceed the context of {self.config.context_length}")
        turns = self.get_buffer("turns")[:t]  # (T, D/2)
        x = self.embedding(ids)  # (B, T, C)
        for block in self.blocks:
            x = block(x, turns)  # (B, T, C)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of ids (B, T)."""
        return F.linear(self.states(ids), self.embedding.weight)
