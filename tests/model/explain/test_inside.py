"""What is shown of the model's inside is what it computes."""

import pytest
import torch
from torch import Tensor

from model.explain.inside import attention_weights, look_inside
from model.explain.trace import SHOWN
from tests.model.made import small_model


@pytest.mark.parametrize("kv_heads", [1, 2])
@pytest.mark.parametrize("length", [1, 7, SHOWN])
def test_the_attention_weights_make_of_the_values_what_the_block_makes(length: int, kv_heads: int):
    model = small_model(kv_heads=kv_heads)
    attention = model.blocks[0].attention
    seen: dict[str, Tensor] = {}
    attention.qkv.register_forward_hook(lambda _m, _i, out: seen.update(qkv=out))
    attention.out.register_forward_hook(lambda _m, given, _o: seen.update(gathered=given[0]))
    context = torch.arange(5, 5 + length)[None]  # (1, T)
    with torch.inference_mode():
        model(context)
        rotations = model.get_buffer("rotations")[:length]
        weights = attention_weights(seen["qkv"], rotations, model.config)  # (H, T, T)
        c = model.config
        values = seen["qkv"].view(length, -1, c.head_width)[:, c.heads + kv_heads :]  # (T, K, D)
        values = values.repeat_interleave(c.heads // kv_heads, dim=1).transpose(0, 1)  # (H, T, D)
        gathered = (weights @ values).transpose(0, 1).reshape(1, length, -1)  # (1, T, C)
    torch.testing.assert_close(gathered, seen["gathered"])


def test_of_a_long_text_the_newest_positions_are_shown():
    model = small_model()
    context = torch.arange(30)[None]
    inside = look_inside(model, context)
    c = model.config
    assert inside.attention.shape == (c.layers, c.heads, SHOWN, SHOWN)
    assert inside.embeddings.tolist() == model.embedding.weight[18:30].tolist()
    assert len(inside.guesses) == SHOWN
    with torch.inference_mode():
        logits = model(context)[0, -1]  # (V,)
    assert inside.guesses[-1] == (int(logits.argmax()), float(logits.max()))
    sums = inside.attention.sum(dim=-1)  # (L, H, W)
    assert bool((sums < 1).any())  # older positions are not shown
    assert bool((sums <= 1 + 1e-5).all())
    assert bool((inside.attention.triu(1) == 0).all())  # nothing from what comes later
