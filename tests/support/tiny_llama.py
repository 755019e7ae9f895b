"""A Llama of two layers with random weights, in a folder as Hugging Face writes it."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

_WIDTH, _HIDDEN, _HEADS, _KV_HEADS = 64, 96, 4, 2


def write_tiny_llama(folder: Path) -> Path:
    """Fill a new folder; its tokenizer has single bytes, " the", and an end."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    characters = [*map(chr, printable), *(chr(0x100 + n) for n in range(len(others)))]
    pieces = ["<|endoftext|>", *characters, "Ġt", "he", "Ġthe"]
    tokenizer = {
        "added_tokens": [{"id": 0, "content": "<|endoftext|>"}],
        "pre_tokenizer": {"type": "ByteLevel", "use_regex": True},
        "model": {
            "type": "BPE",
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": ["Ġ t", "h e", "Ġt he"],
        },
    }
    config = {
        "model_type": "llama",
        "vocab_size": len(pieces),
        "max_position_embeddings": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "hidden_size": _WIDTH,
        "intermediate_size": _HIDDEN,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    }
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    save_file(_tensors(len(pieces)), folder / "model.safetensors")
    return folder


def _tensors(vocabulary_size: int) -> dict[str, torch.Tensor]:
    keys = _WIDTH * _KV_HEADS // _HEADS
    layer = {
        "self_attn.q_proj": (_WIDTH, _WIDTH),
        "self_attn.k_proj": (keys, _WIDTH),
        "self_attn.v_proj": (keys, _WIDTH),
        "self_attn.o_proj": (_WIDTH, _WIDTH),
        "mlp.gate_proj": (_HIDDEN, _WIDTH),
        "mlp.up_proj": (_HIDDEN, _WIDTH),
        "mlp.down_proj": (_WIDTH, _HIDDEN),
        "input_layernorm": (_WIDTH,),
        "post_attention_layernorm": (_WIDTH,),
    }
    shapes = {"model.embed_tokens": (vocabulary_size, _WIDTH), "model.norm": (_WIDTH,)}
    shapes |= {f"model.layers.{n}.{name}": s for n in range(2) for name, s in layer.items()}
    random = torch.Generator().manual_seed(1)
    return {f"{n}.weight": torch.randn(s, generator=random) for n, s in shapes.items()}
