"""The whole model: a decoder-only Transformer in the shape of Llama, small enough for a CPU.

RMSNorm before each part, rotary positions (RoPE), SwiGLU, no biases, one matrix for embedding and
head. The shape equals that of the story models of llama2.c (https://github.com/karpathy/llama2.c),
so that one of them can be the start of training; the style is that of nanoGPT. Letters in shapes:
B sequences, T tokens, V vocabulary, C width, H heads, D = C / H, F hidden, and K heads of keys and
values: each serves H / K heads of queries (grouped-query attention; one each where K = H).

Sources: Vaswani et al. 2017 (Transformer), Zhang & Sennrich 2019 (RMSNorm), Shazeer 2020 (SwiGLU),
Su et al. 2021 (rotary positions), Touvron et al. 2023 (Llama), Ainslie et al. 2023 (grouped
queries).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-5
LLAMA3_CONTEXT = 8192  # tokens of Llama 3's first training, before its rotary scaling
LLAMA3_TURNS = (1, 4)  # in it; frequencies of fewer are divided, those between them partly
_MAX_PLAIN_TOKENS = 512  # longest T for which `attend` keeps (T, T) weights for going backward


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a model.

    Attributes:
        vocabulary_size: V, the number of ids.
        context_length: the most tokens it can attend to.
        layers: blocks one after another.
        heads: H, attention heads in each block; they share the width.
        width: C, numbers that describe a token between blocks; an even multiple of H.
        hidden: F, the inner width of each block's MLP.
        kv_heads: K, heads of keys and values, a divisor of H; 0 becomes H.
        rotary_base: of the rotary frequencies; larger ones turn more slowly.
        rotary_scaling: by which Llama 3.1 and later divide the lowest frequencies; 1 if none.
    """

    vocabulary_size: int
    context_length: int
    layers: int
    heads: int
    width: int
    hidden: int
    kv_heads: int = 0
    rotary_base: float = 10_000.0
    rotary_scaling: float = 1.0

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built."""
        if self.kv_heads == 0:
            object.__setattr__(self, "kv_heads", self.heads)
        sizes = vars(self)
        if (
            not all(1 <= size < math.inf for size in sizes.values())
            or self.width % (2 * self.heads)
            or self.heads % self.kv_heads
        ):
            raise ValueError(f"no Transformer has the shape {sizes}")

    @property
    def head_width(self) -> int:
        """D, numbers in a query, key or value."""
        return self.width // self.heads


def rotary_frequencies(config: TransformerConfig) -> Tensor:
    """Radians by which each pair of numbers turns from one position to the next (D/2,)."""
    exponents = torch.arange(0, config.head_width, 2).float() / config.head_width  # (D/2,)
    frequencies = config.rotary_base**-exponents  # (D/2,)
    turns = frequencies * LLAMA3_CONTEXT / (2 * math.pi)  # (D/2,) within that context
    few, many = LLAMA3_TURNS
    kept = ((turns - few) / (many - few)).clamp(0, 1)  # (D/2,) 1 where nothing is divided
    return torch.lerp(frequencies / config.rotary_scaling, frequencies, kept)  # (D/2,)


def rotary_table(config: TransformerConfig) -> Tensor:
    """Rotations of each position as complex numbers of length 1, (context_length, D / 2).

    Llama's code calls them `freqs_cis`.
    """
    positions = torch.arange(config.context_length).float()  # (context_length,)
    angles = torch.outer(positions, rotary_frequencies(config))  # (context_length, D/2)
    return torch.polar(torch.ones_like(angles), angles)  # (context_length, D/2) complex


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Rotate each pair of neighbours in x (B, H, T, D) by rotations (T, D / 2), complex."""
    pairs = torch.view_as_complex(x.float().view(*x.shape[:-1], -1, 2))  # (B, H, T, D/2)
    return torch.view_as_real(pairs * rotations).flatten(-2).to(x.dtype)  # (B, H, T, D)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention in plain steps; queries and result are (B, H, T, D), k and v (B, K, T, D).

    On a CPU it trains two and a half times as fast as torch's own, above all backward. torch's does
    not keep the (T, T) weights, whose memory grows with the square of T.
    """
    b, h, t, d = q.shape
    groups = h // k.size(1)
    k, v = (x.unsqueeze(2).expand(-1, -1, groups, -1, -1) for x in (k, v))  # (B, K, H / K, T, D)
    q, k, v = (x.reshape(b * h, t, d) for x in (q, k, v))  # (B·H, T, D) each
    future = torch.full((t, t), -math.inf, device=q.device).triu(1).to(q.dtype)  # (T, T)
    scores = torch.baddbmm(future, q, k.mT, alpha=1 / math.sqrt(d))  # (B·H, T, T)
    return torch.bmm(scores.softmax(dim=-1), v).view(b, h, t, d)  # (B, H, T, D)


class CausalSelfAttention(nn.Module):
    """Causal self-attention: each token gathers from itself and those before it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads, config.kv_heads, config.kv_heads  # of q, k and v
        self.qkv = nn.Linear(config.width, sum(self.heads) * config.head_width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, rotations: Tensor) -> Tensor:
        """Mix x (B, T, C) across positions, with rotations (T, D / 2); (B, T, C)."""
        b, t, c = x.shape
        qkv = self.qkv(x).view(b, t, sum(self.heads), -1).transpose(1, 2)  # (B, H + 2K, T, D)
        q, k, v = qkv.split(self.heads, dim=1)  # (B, H, T, D), (B, K, T, D) twice
        q, k = rotate(q, rotations), rotate(k, rotations)
        # (B, H, T, D) x (B, K, D, T) -> (B, H, T, T); x (B, K, T, D) -> (B, H, T, D)
        if q.requires_grad and q.is_cpu and t <= _MAX_PLAIN_TOKENS:
            y = attend(q, k, v)  # (B, H, T, D)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.out(y.transpose(1, 2).reshape(b, t, c))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """SwiGLU: a gated hidden layer for each position by itself."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform x (B, T, C) to (B, T, C)."""
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

    def forward(self, x: Tensor, rotations: Tensor) -> Tensor:
        """Transform x (B, T, C), with rotations (T, D / 2); (B, T, C)."""
        x = x + self.attention(self.norm1(x), rotations)  # (B, T, C)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Token ids to logits of the next token.

    In nanoGPT's names: `width` is n_embd, `context_length` block_size, `layers` n_layer, `heads`
    n_head.
    """

    def __init__(self, config: TransformerConfig) -> None:
        """Build a model with random weights, drawn from torch's global generator."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)  # also the head
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=NORM_EPSILON)
        self.register_buffer("rotations", rotary_table(config), persistent=False)
        self._initialise()

    def _initialise(self) -> None:
        """GPT-2's initialisation: what adds to the residual stream starts smaller."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                residual = name.endswith(("out.weight", "down.weight"))
                scale = 1 / math.sqrt(2 * self.config.layers) if residual else 1.0
                nn.init.normal_(weight, std=0.02 * scale)

    def states(self, ids: Tensor) -> Tensor:
        """Hidden states (B, T, C), the head's input, after each of ids (B, T).

        Raises:
            ValueError: there are more tokens than the context holds.
        """
        t = ids.size(1)
        if t > self.config.context_length:
            raise ValueError(f"{t} tokens exceed the context of {self.config.context_length}")
        rotations = self.get_buffer("rotations")[:t]  # (T, D/2)
        x = self.embedding(ids)  # (B, T, C)
        for block in self.blocks:
            x = block(x, rotations)  # (B, T, C)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of ids (B, T)."""
        return F.linear(self.states(ids), self.embedding.weight)  # (B, T, V)
