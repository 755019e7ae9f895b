"""Looks inside the Transformer while it reads a text: shapes, embeddings, attention, guesses.

The attention weights are computed again from the queries and keys that each block has computed,
because torch's own attention does not return them. Letters in shapes are those of
model.explain.trace, and K heads of keys and values, D width of a head.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from model.explain.trace import SHOWN, Inside, Shape
from model.transformer import Transformer, TransformerConfig, rotate

_MEANINGS = {
    "embedding": "a row of C numbers for each id",
    "blocks.0.norm1": "the same, scaled to length √C (RMSNorm)",
    "blocks.0.attention.qkv": "query, key and value of each position, all heads side by side",
    "blocks.0.attention.out": "what each position gathered from itself and those before it",
    "blocks.0.mlp.gate_up": "gate and value of the SwiGLU, 2F numbers",
    "blocks.0.mlp.down": "back to C numbers, added to the stream",
    "norm": "what the head reads, after all blocks",
}


@torch.inference_mode()
def look_inside(model: Transformer, context: Tensor) -> Inside:
    """What the model computes of the ids context (1, T)."""
    shapes = [Shape("ids", tuple(context.shape), "one sequence of T token ids")]
    rotations = model.get_buffer("rotations")[: context.size(1)]  # (T, D/2)
    attention: list[Tensor] = []  # L of (H, W, W)

    def note_shape(name: str, meaning: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _input, out: shapes.append(Shape(name, tuple(out.shape), meaning))

    def note_attention(_module: nn.Module, _input: object, qkv: Tensor) -> None:
        attention.append(attention_weights(qkv, rotations, model.config))

    meanings = {**_MEANINGS, f"blocks.{model.config.layers - 1}": "the stream after the last block"}
    with ExitStack() as hooks:
        for name, part in model.named_modules():
            if name in meanings:
                hook = part.register_forward_hook(note_shape(name, meanings[name]))
                hooks.callback(hook.remove)
            if name.endswith("attention.qkv"):
                hooks.callback(part.register_forward_hook(note_attention).remove)
        logits = model(context)  # (1, T, V)
    shapes.append(Shape("logits", tuple(logits.shape), "a number for each id at each position"))
    last = tuple(logits[:, -1].shape)
    shapes.append(Shape("logits[:, -1]", last, "only the last position counts"))
    guesses = logits[0, -SHOWN:].max(dim=-1)  # (W,) values and ids
    return Inside(
        shapes,
        model.embedding(context[0, -SHOWN:]).float().cpu(),
        torch.stack(attention).cpu(),
        list(zip(guesses.indices.tolist(), guesses.values.tolist(), strict=True)),
    )


def attention_weights(qkv: Tensor, rotations: Tensor, config: TransformerConfig) -> Tensor:
    """The attention weights (H, W, W) of one block by its qkv (1, T, (H + 2K)·D).

    `rotations` (T, D / 2) are those of its positions.
    """
    h, k, t = config.heads, config.kv_heads, qkv.size(1)
    w = min(t, SHOWN)
    heads = qkv.view(1, t, -1, config.head_width).transpose(1, 2)  # (1, H + 2K, T, D)
    queries = rotate(heads[:, :h, -w:], rotations[-w:])  # (1, H, W, D)
    keys = rotate(heads[:, h : h + k], rotations).repeat_interleave(h // k, dim=1)  # (1, H, T, D)
    scores = queries @ keys.mT / math.sqrt(config.head_width)  # (1, H, W, T)
    future = torch.ones(w, t, dtype=torch.bool, device=qkv.device).triu(t - w + 1)  # (W, T)
    return scores.masked_fill(future, -math.inf).softmax(dim=-1)[0, :, :, -w:]  # (H, W, W)
