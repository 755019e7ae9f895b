"""Reads a Llama from a folder as Hugging Face writes it: configuration, tokenizer, safetensors.

Its queries and keys pair the two halves of each head; model.transformer.rotate pairs neighbours.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.convert.source import (
    ConversionError,
    Source,
    TensorNames,
    Tokenizer,
    find_tensors,
    make_config,
)
from model.convert.tokenizer import PATTERNS, piece_bytes, split_merge
from model.transformer import LLAMA3_CONTEXT, LLAMA3_TURNS, TransformerConfig

_NAMES = TensorNames(
    layer="model.layers.{}.{}.weight",
    parts={
        "norm1": "input_layernorm",
        "q": "self_attn.q_proj",
        "k": "self_attn.k_proj",
        "v": "self_attn.v_proj",
        "out": "self_attn.o_proj",
        "norm2": "post_attention_layernorm",
        "gate": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "down": "mlp.down_proj",
    },
    embedding="model.embed_tokens.weight",
    norm="model.norm.weight",
)
_HEAD = "lm_head.weight"  # where it is not the embedding, or is kept twice
_MOST_TOKENS = 2**20  # those of large models have a quarter
_DTYPES = {"torch.float32", "torch.float16", "torch.bfloat16"}


def read_folder(folder: Path) -> Source:
    """The model of a folder; its tensors are read when asked for.

    Raises:
        ConversionError: a file is missing or damaged, or holds another model than a Llama.
    """
    values = _read_json(folder / "config.json")
    tokenizer = _read_json(folder / "tokenizer.json")
    kind = values.get("model_type")
    if kind != "llama":
        raise ConversionError(f'its architecture is "{kind}", and "llama" is the only known one')
    config = _read_config(values)
    if (values.get("head_dim") or config.head_width) != config.head_width:
        raise ConversionError("its heads are wider than their share of the whole")
    if values.get("hidden_act", "silu") != "silu":
        raise ConversionError(
            f'its activation is "{values["hidden_act"]}", and "silu" is the only known one'
        )
    places = _places(folder)
    present = {name for name in places if not name.endswith("rotary_emb.inv_freq")} - {_HEAD}
    own_head = _HEAD in places and not values.get("tie_word_embeddings")
    names = find_tensors(present, config.layers, _NAMES, own_head=own_head)
    group = {"q": config.heads, "k": config.kv_heads}

    def tensor(name: str) -> Tensor:
        found = _read_tensor(places[names[name]], names[name])
        part = name.rpartition(".")[2]
        return _pair_neighbours(found, group[part]) if part in group else found

    precision = str(tensor("0.down").dtype).removeprefix("torch.")
    return Source(config, _read_tokenizer(tokenizer), tensor, precision, "", folder.name)


def _read_config(values: Mapping[str, Any]) -> TransformerConfig:
    try:
        rotary = values.get("rope_scaling") or values.get("rope_parameters") or {}
        base = values.get("rope_theta") or rotary.get("rope_theta") or 10_000.0
        heads = values.get("num_attention_heads")
        sizes = {
            "vocabulary_size": values.get("vocab_size"),
            "context_length": values.get("max_position_embeddings"),
            "layers": values.get("num_hidden_layers"),
            "heads": heads,
            "width": values.get("hidden_size"),
            "hidden": values.get("intermediate_size"),
            "kv_heads": values.get("num_key_value_heads") or heads,
            "rotary_base": float(base),
            "rotary_scaling": _rotary_scaling(rotary),
        }
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ConversionError("its config.json cannot be read") from error
    return make_config(sizes, values.get("rms_norm_eps"))


def _rotary_scaling(rotary: Mapping[str, Any]) -> float:
    """By how much the lowest rotary frequencies are divided; only Llama 3's way is known."""
    kind = rotary.get("rope_type", rotary.get("type", "default"))
    if kind == "default":
        return 1.0
    known = {
        "low_freq_factor": LLAMA3_TURNS[0],
        "high_freq_factor": LLAMA3_TURNS[1],
        "original_max_position_embeddings": LLAMA3_CONTEXT,
    }
    if kind != "llama3" or any(rotary.get(name) != value for name, value in known.items()):
        raise ConversionError(f'its rotary positions are stretched in an unknown way ("{kind}")')
    return float(rotary["factor"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConversionError(f"{path.name} is missing in it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConversionError(f"its {path.name} cannot be read") from error
    if not isinstance(found, dict):
        raise ConversionError(f"its {path.name} cannot be read")
    return found


def _places(folder: Path) -> dict[str, Path]:
    """The file of each tensor."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ConversionError("model.safetensors is missing in it")
    places: dict[str, Path] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                places |= dict.fromkeys(file.keys(), path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ConversionError(f"its {path.name} is cut short or damaged") from error
    return places


def _read_tensor(path: Path, name: str) -> Tensor:
    try:
        with safe_open(path, framework="pt") as file:
            found: Tensor = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError) as error:
        raise ConversionError(f"its {path.name} is cut short or damaged") from error
    if str(found.dtype) not in _DTYPES:
        raise ConversionError(
            f'its tensor "{name}" has the type {found.dtype}, which is not known here'
        )
    return found


def _pair_neighbours(matrix: Tensor, heads: int) -> Tensor:
    """Rows (H·D, C) of heads, their halves interleaved."""
    return matrix.view(heads, 2, -1, matrix.size(1)).transpose(1, 2).reshape(matrix.shape)


def _read_tokenizer(values: Mapping[str, Any]) -> Tokenizer:
    try:
        model = values["model"]
        vocabulary, merges = model["vocab"], model["merges"]
        if model["type"] != "BPE":
            raise ConversionError(f'its tokenizer is of the kind "{model["type"]}", not byte-level')
        added = {token["content"]: token["id"] for token in values.get("added_tokens") or []}
        numbers = {**vocabulary, **added}.values()
        if min(numbers) < 0 or max(numbers) > _MOST_TOKENS:  # a damaged one would take gigabytes
            raise ConversionError("its tokenizer.json has unusable numbers of tokens")
        pieces: list[bytes | None] = [None] * (1 + max(numbers))
        for token, number in vocabulary.items():
            pieces[number] = None if token in added else piece_bytes(token)
        pattern = _pattern(values.get("pre_tokenizer") or {})
        ends = ("<|endoftext|>", "<|begin_of_text|>", "<s>", "</s>")
        end = next((added[name] for name in ends if name in added), -1)
        return Tokenizer(pieces, [split_merge(merge) for merge in merges], pattern, end)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ConversionError("its tokenizer.json cannot be read") from error


def _pattern(pre_tokenizer: Mapping[str, Any]) -> str:
    """The regular expression of Hugging Face's pre-tokenizers, where it is one of a few forms."""
    steps = pre_tokenizer.get("pretokenizers") or [pre_tokenizer]
    match [step.get("type") for step in steps]:
        case ["ByteLevel"] if steps[0].get("use_regex", True):
            return PATTERNS["gpt-2"]
        case ["Digits", "ByteLevel"] if steps[0].get("individual_digits"):
            return PATTERNS["smollm"]
        case ["Split", "ByteLevel"] if "Regex" in steps[0]["pattern"]:
            return str(steps[0]["pattern"]["Regex"])
        case _:
            raise ConversionError("its tokenizer cuts text in a way that is not known here")
