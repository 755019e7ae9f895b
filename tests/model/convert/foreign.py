"""A tiny foreign Llama, as a GGUF file and as a folder of Hugging Face's."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model.bench.llama_cpp import _printable, merges_of, write_gguf
from model.checkpoints.blocks import dense, quantize, quantize_8_bits
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights
from model.convert.tokenizer import PATTERNS
from model.text.tokenizer import END_OF_TEXT, spell
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

BYTES = [bytes([byte]) for byte in range(0xF1)]
MERGED = [b" t", b"he", b" the", b"er", b" w", b" wer", b"ca", b" z", b" zy", b" zyt", b" zythe"]
CONFIG = {"layers": 2, "heads": 4, "width": 64, "hidden": 96, "kv_heads": 2, "rotary_base": 1e5}


def foreign_weights(**changes: Any) -> Weights:
    """Weights with rows of a foreign tokenizer and matrices in blocks."""
    torch.manual_seed(1)
    spelt = [spell(piece) for piece in [*BYTES, *MERGED]] + [[END_OF_TEXT]]
    ids = [i for spelling in spelt for i in spelling]
    vocabulary = Vocabulary(ids, [len(s) for s in spelt], PATTERNS["gpt-2"])
    config = TransformerConfig(vocabulary.size, 64, **{**CONFIG, **changes})
    model = Transformer(config)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if tensor.dim() == 1:
            tensors[name] = torch.rand_like(tensor) + 0.5
        else:
            make = quantize_8_bits if name == "embedding.weight" else quantize
            tensors[name] = make(tensor * 5)
    stored = StoredModel(config, tensors)
    return Weights(stored, vocabulary, "en", "Apache-2.0", "made by a test")


def write_foreign_gguf(path: Path, exact: bool = False, **changes: Any) -> Path:
    write_gguf(path, foreign_weights(**changes), exact)
    return path


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The pieces behind two special tokens."""
    pieces = vocabulary.pieces[:-1]
    numbers = {_printable(piece): i for i, piece in enumerate(pieces, start=2)}
    special = [{"id": i, "content": c} for i, c in enumerate(["<|endoftext|>", "<|im_start|>"])]
    return {
        "model": {"type": "BPE", "vocab": numbers, "merges": merges_of(pieces)},
        "added_tokens": special,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    }


def config_json(config: TransformerConfig) -> dict[str, Any]:
    c = config
    return {
        "model_type": "llama",
        "vocab_size": c.vocabulary_size + 1,
        "max_position_embeddings": c.context_length,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "hidden_size": c.width,
        "intermediate_size": c.hidden,
        "rope_theta": c.rotary_base,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": True,
    }


def halves(matrix: Tensor, heads: int) -> Tensor:
    """Rows whose neighbours are a pair, put into the two halves of each head."""
    width = len(matrix) // heads
    even = [h * width + i for h in range(heads) for i in range(0, width, 2)]
    order = torch.tensor(even).view(heads, -1)  # (H, D / 2)
    return matrix[torch.cat([order, order + 1], dim=1).flatten()]


def folder_tensors(weights: Weights) -> dict[str, Tensor]:
    """The tensors in Hugging Face's names and order of rows."""
    c = weights.stored.config
    found = {name: dense(tensor) for name, tensor in weights.stored.tensors.items()}
    embedding = found["embedding.weight"]
    special = torch.zeros(1, c.width)
    tensors = {
        "model.embed_tokens.weight": torch.cat([embedding[-1:], special, embedding[:-1]]),
        "model.norm.weight": found["norm.weight"],
    }
    for n in range(c.layers):
        ours, theirs = f"blocks.{n}.", f"model.layers.{n}."
        groups = [c.heads * c.head_width, c.kv_heads * c.head_width, c.kv_heads * c.head_width]
        q, k, v = found[f"{ours}attention.qkv.weight"].split(groups)
        gate, up = found[f"{ours}mlp.gate_up.weight"].chunk(2)
        tensors |= {
            f"{theirs}self_attn.q_proj.weight": halves(q, c.heads),
            f"{theirs}self_attn.k_proj.weight": halves(k, c.kv_heads),
            f"{theirs}self_attn.v_proj.weight": v,
            f"{theirs}self_attn.o_proj.weight": found[f"{ours}attention.out.weight"],
            f"{theirs}mlp.gate_proj.weight": gate,
            f"{theirs}mlp.up_proj.weight": up,
            f"{theirs}mlp.down_proj.weight": found[f"{ours}mlp.down.weight"],
            f"{theirs}input_layernorm.weight": found[f"{ours}norm1.weight"],
            f"{theirs}post_attention_layernorm.weight": found[f"{ours}norm2.weight"],
        }
    return tensors


def write_folder(
    folder: Path, weights: Weights, dtype: torch.dtype = torch.float32, **changes: Any
) -> Path:
    """A folder with its tensors in two files; `changes` are of config.json."""
    folder.mkdir()
    config = {**config_json(weights.stored.config), **changes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(weights.vocabulary)))
    tensors = {n: t.to(dtype).contiguous().clone() for n, t in folder_tensors(weights).items()}
    names = sorted(tensors)
    for number, part in enumerate((names[:7], names[7:]), start=1):
        path = folder / f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, path)
    return folder
