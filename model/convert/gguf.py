"""Reads a Llama from a GGUF file, llama.cpp's format: metadata, tensors, and its tokenizer.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Integers are little-endian. Matrices of
the types Q4_0, Q4_1 and Q8_0 stay in their blocks, bit for bit. llama.cpp's converter has put
queries and keys into the order of neighbouring pairs already, which is ours.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.checkpoints.blocks import BLOCK, Blocks, Matrix
from model.convert.source import (
    ConversionError,
    Source,
    TensorNames,
    Tokenizer,
    find_tensors,
    make_config,
)
from model.convert.tokenizer import PATTERNS, piece_bytes, split_merge

Data = memoryview

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32  # bytes, if the file does not say
_NORMAL_TOKEN = 1

_NAMES = TensorNames(
    layer="blk.{}.{}.weight",
    parts={
        "norm1": "attn_norm",
        "q": "attn_q",
        "k": "attn_k",
        "v": "attn_v",
        "out": "attn_output",
        "norm2": "ffn_norm",
        "gate": "ffn_gate",
        "up": "ffn_up",
        "down": "ffn_down",
    },
    embedding="token_embd.weight",
    norm="output_norm.weight",
)


@dataclass(frozen=True)
class _Type:
    """A type of tensors: bytes of a block, numbers in it, and what a matrix (N, bytes) becomes."""

    name: str
    size: int
    numbers: int
    read: Callable[[Tensor], Matrix]


def _halves(raw: Tensor) -> Tensor:
    """Two bytes (N, G, 2) as float16 (N, G)."""
    return raw.contiguous().view(torch.float16)[..., 0]


def _q4_0(raw: Tensor) -> Blocks:
    """(q - 8) · scale; raw is (N, G, 18)."""
    scales = _halves(raw[..., :2])
    return Blocks(raw[..., 2:].reshape(len(raw), -1), scales, -8 * scales)


def _q4_1(raw: Tensor) -> Blocks:
    """The q · scale + minimum; raw is (N, G, 20)."""
    quants = raw[..., 4:].reshape(len(raw), -1)
    return Blocks(quants, _halves(raw[..., :2]), _halves(raw[..., 2:4]))


def _q8_0(raw: Tensor) -> Blocks:
    """The q · scale; raw is (N, G, 34)."""
    quants = raw[..., 2:].reshape(len(raw), -1).view(torch.int8)
    return Blocks(quants, _halves(raw[..., :2]), None)


def _plain(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda raw: raw.contiguous().view(dtype)[..., 0]


_TYPES = {
    0: _Type("F32", 4, 1, _plain(torch.float32)),
    1: _Type("F16", 2, 1, _plain(torch.float16)),
    2: _Type("Q4_0", 18, BLOCK, _q4_0),
    3: _Type("Q4_1", 20, BLOCK, _q4_1),
    8: _Type("Q8_0", 34, BLOCK, _q8_0),
    30: _Type("BF16", 2, 1, _plain(torch.bfloat16)),
}


@dataclass(frozen=True)
class _Tensor:
    """Where a tensor is: dimensions with the columns first, the type's number, the first byte."""

    dimensions: tuple[int, ...]
    type: int
    begin: int


class _Reader:
    """Reads values one after another."""

    def __init__(self, data: Data) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> Data:
        if count > len(self._data) - self.at:
            raise ConversionError("it is cut short")
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))[0]

    def text(self) -> str:
        return bytes(self.take(self.number("Q"))).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            item, count = self.number("I"), self.number("Q")
            if item == _ARRAY:  # of arrays, which no Llama's file has
                raise ConversionError("its header is damaged")
            if item in _SCALARS:
                raw = self.take(count * struct.calcsize(f"<{_SCALARS[item]}"))
                return list(struct.unpack(f"<{count}{_SCALARS[item]}", raw))
            return [self.value(item) for _ in range(count)]
        if kind not in _SCALARS:
            raise ConversionError("its header is damaged")
        return self.number(_SCALARS[kind])


def read_gguf(data: Data) -> Source:
    """The model in the bytes of a GGUF file; its tensors are read when asked for.

    Raises:
        ConversionError: the file is cut short or damaged, or holds another model than a Llama.
    """
    metadata, tensors = _read_header(data)
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise ConversionError(
            f'its architecture is "{architecture}", and "llama" is the only known one'
        )
    tokenizer = _read_tokenizer(metadata)
    config = make_config(
        {
            "vocabulary_size": len(tokenizer.pieces),
            "context_length": metadata.get("llama.context_length"),
            "layers": metadata.get("llama.block_count"),
            "heads": metadata.get("llama.attention.head_count"),
            "width": metadata.get("llama.embedding_length"),
            "hidden": metadata.get("llama.feed_forward_length"),
            "kv_heads": metadata.get("llama.attention.head_count_kv", 0),
            "rotary_base": metadata.get("llama.rope.freq_base", 10_000.0),
        },
        metadata.get("llama.attention.layer_norm_rms_epsilon"),
    )
    if metadata.get("llama.rope.dimension_count", config.head_width) != config.head_width:
        raise ConversionError("it rotates only a part of each head")
    names = find_tensors(tensors, config.layers, _NAMES, own_head="output.weight" in tensors)
    matrix = tensors[names["0.down"]].type
    return Source(
        config,
        tokenizer,
        lambda name: _read_tensor(data, names[name], tensors[names[name]]),
        _TYPES[matrix].name if matrix in _TYPES else "",
        str(metadata.get("general.license", "")),
        str(metadata.get("general.name", "")),
    )


def _read_header(data: Data) -> tuple[dict[str, Any], dict[str, _Tensor]]:
    reader = _Reader(data)
    if len(data) < len(_MAGIC) or bytes(reader.take(len(_MAGIC))) != _MAGIC:
        raise ConversionError("it is no GGUF file")
    version = reader.number("I")
    if version not in _VERSIONS:
        raise ConversionError(f"its format's version is {version}, and 2 and 3 are known")
    count, pairs = reader.number("Q"), reader.number("Q")
    metadata = {}
    for _ in range(pairs):
        key = reader.text()
        metadata[key] = reader.value(reader.number("I"))
    found = {}
    for _ in range(count):
        name, size = reader.text(), reader.number("I")
        dimensions = tuple(reader.number("Q") for _ in range(size))
        found[name] = _Tensor(dimensions, reader.number("I"), reader.number("Q"))
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ConversionError("its header is damaged")
    begin = -(-reader.at // alignment) * alignment
    return metadata, {n: _Tensor(t.dimensions, t.type, begin + t.begin) for n, t in found.items()}


def _read_tensor(data: Data, name: str, tensor: _Tensor) -> Matrix:
    if tensor.type not in _TYPES:
        known = ", ".join(kind.name for kind in _TYPES.values())
        raise ConversionError(f'its tensor "{name}" has the type {tensor.type}; known are {known}')
    kind = _TYPES[tensor.type]
    columns, *rows = tensor.dimensions or (0,)
    if len(rows) > 1 or columns == 0 or columns % kind.numbers:
        raise ConversionError(f'its tensor "{name}" has an unusable shape')
    blocks = (*rows, columns // kind.numbers, kind.size)
    size = int(np.prod(blocks, dtype=object))
    if tensor.begin + size > len(data):
        raise ConversionError("it is cut short")
    raw = np.frombuffer(data, np.uint8, size, tensor.begin)
    return kind.read(torch.from_numpy(raw.copy()).view(blocks))


def _read_tokenizer(metadata: Mapping[str, Any]) -> Tokenizer:
    kind, pattern = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre", "")
    if kind != "gpt2":
        raise ConversionError(
            f'its tokenizer is of the kind "{kind}", and only byte-level ones are known'
        )
    if str(pattern) not in PATTERNS:
        known = ", ".join(PATTERNS)
        raise ConversionError(f'its tokenizer cuts text by "{pattern}"; known are {known}')
    names = ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges")
    if not all(isinstance(metadata.get(name), list) for name in names):
        raise ConversionError("its tokenizer cannot be read")
    tokens, kinds, merges = (metadata[name] for name in names)
    pieces = [
        piece_bytes(str(token)) if kind == _NORMAL_TOKEN else None
        for token, kind in zip(tokens, kinds, strict=False)
    ]
    begin = metadata.get("tokenizer.ggml.bos_token_id", metadata.get("tokenizer.ggml.eos_token_id"))
    end = tokens.index("<|endoftext|>") if "<|endoftext|>" in tokens else begin
    return Tokenizer(pieces, [split_merge(merge) for merge in merges], PATTERNS[pattern], end)
