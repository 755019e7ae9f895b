"""Batched sampling: several texts of one length continued at a time, with a key–value cache.

The forward pass over the modules of model.transformer, in which each new token attends to cached
keys and values. Letters in shapes: B sequences, T new tokens, S tokens in all, V vocabulary,
C width, H heads, D = C / H.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from config.errors import GenerationError
from model.inference.sampler import SamplingOptions
from model.transformer import Block, Transformer, TransformerConfig, rotary_table, rotate


class KeyValueCache:
    """Keys and values of the tokens so far, in buffers allocated once.

    Attributes:
        keys, values: (layers, B, H, context_length, D) each.
        rotations: (context_length, D / 2), complex, the rotary angle of each position.
        length: how many positions are filled.
    """

    def __init__(self, config: TransformerConfig, batch: int, device: torch.device | str) -> None:
        c = config
        shape = (2, c.layers, batch, c.heads, c.context_length, c.width // c.heads)
        self.keys, self.values = torch.zeros(shape, device=device).unbind()
        self.rotations = rotary_table(config).to(device)
        self.length = 0


@torch.inference_mode()
def cached_states(model: Transformer, ids: Tensor, cache: KeyValueCache) -> Tensor:
    """Hidden states (B, T, C), the input of the head, after each of ids (B, T).

    The ids continue the cached tokens; the cache grows by T.

    Raises:
        ValueError: cached and new tokens together exceed the context.
    """
    begin, end = cache.length, cache.length + ids.size(1)
    if end > model.config.context_length:
        raise ValueError(f"{end} tokens exceed the context of {model.config.context_length}")
    rotations = cache.rotations[begin:end]  # (T, D/2)
    # Token i of the new ones attends to all cached tokens and to the new ones up to itself.
    mask = torch.ones(end - begin, end, dtype=torch.bool, device=ids.device).tril(begin)  # (T, S)
    x = model.embedding(ids)  # (B, T, C)
    for layer, block in enumerate(cast(list[Block], model.blocks)):
        qkv = block.attention.qkv(block.norm1(x))  # (B, T, 3C)
        qkv = qkv.unflatten(-1, (3, model.config.heads, -1))  # (B, T, 3, H, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        cache.keys[layer, :, :, begin:end] = rotate(k, rotations)
        cache.values[layer, :, :, begin:end] = v
        k, v = cache.keys[layer, :, :, :end], cache.values[layer, :, :, :end]  # (B, H, S, D) each
        y = F.scaled_dot_product_attention(rotate(q, rotations), k, v, attn_mask=mask)
        x = x + block.attention.out(y.transpose(1, 2).flatten(2))  # (B, T, C)
        x = x + block.mlp(block.norm2(x))  # (B, T, C)
    cache.length = end
    return model.norm(x)  # type: ignore[no-any-return]


@torch.inference_mode()
def sample_batch(logits: Tensor, options: SamplingOptions, generator: torch.Generator) -> Tensor:
    """Draw the next id (B,) of each text by logits (B, V), with the filters of `sample`.

    The repetition penalty is left out: the ids so far are not an argument.

    Raises:
        GenerationError: a logit is not a finite number.
    """
    if not torch.isfinite(logits).all():
        raise GenerationError(
            "The model computed numbers that are not finite; its weights are bad."
        )
    if options.temperature == 0:
        return logits.argmax(dim=-1)
    size = logits.size(-1)
    values, ids = logits.float() / options.temperature, None  # (B, V)
    if options.top_p < 1 or 0 < options.top_k < size:
        values, ids = values.topk(min(options.top_k or size, size))  # (B, K) each, sorted
    probabilities = values.softmax(dim=-1)  # (B, K)
    keep = probabilities >= options.min_p * probabilities.amax(dim=-1, keepdim=True)  # (B, K)
    if options.top_p < 1:
        likelier = probabilities.cumsum(dim=-1) - probabilities  # (B, K) of the ids before
        keep &= likelier < options.top_p
    places = torch.multinomial(probabilities * keep, 1, generator=generator)  # (B, 1)
    return (places if ids is None else ids.gather(1, places)).squeeze(1)


@torch.inference_mode()
def continue_batch(
    model: Transformer, openings: Tensor, options: SamplingOptions, generator: torch.Generator
) -> Tensor:
    """Continue openings (B, T) to the end of the context: (B, context_length).

    Raises:
        GenerationError: see `sample_batch`.
    """
    cache = KeyValueCache(model.config, len(openings), openings.device)
    ids, new = openings, openings
    while ids.size(1) < model.config.context_length:
        state = cached_states(model, new, cache)[:, -1]  # (B, C)
        logits = F.linear(state, model.embedding.weight)  # (B, V)
        new = sample_batch(logits, options, generator)[:, None]  # (B, 1)
        ids = torch.cat([ids, new], dim=1)
    return ids
