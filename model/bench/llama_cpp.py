"""llama.cpp as a baseline: the weights in use, on the same blocks, through the package xllamacpp.

The weights are written as a GGUF file first. It goes without the merges of a tokenizer: prompts are
token ids, which are those of our vocabulary.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from config.errors import MissingPackageError
from model.bench.baselines import SAMPLING
from model.checkpoints.blocks import Blocks, Matrix, dense
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights
from model.text.vocabulary import Vocabulary
from model.transformer import NORM_EPSILON

_UINT32, _FLOAT32, _STRING, _ARRAY, _INT32 = 4, 6, 8, 9, 5  # types of metadata
_F32, _Q4_1, _Q8_0 = 0, 3, 8  # types of tensors
_NORMAL, _CONTROL = 1, 3  # kinds of tokens
_ALIGNMENT = 32  # bytes


class LlamaCpp:
    """llama.cpp with one model, one thread and our context."""

    def __init__(self, gguf: Path, context: int, exact: bool = False) -> None:
        """Load a GGUF file; `exact` keeps keys and values in float32.

        Raises:
            MissingPackageError: xllamacpp is not installed.
        """
        try:
            import xllamacpp  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise MissingPackageError(
                "llama.cpp needs the package xllamacpp: `pip install xllamacpp`."
            ) from error
        p = xllamacpp.CommonParams()
        p.model.path, p.n_ctx, p.n_parallel, p.verbosity = str(gguf), context, 1, -1
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = torch.get_num_threads()
        if exact:
            p.cache_type_k = p.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self._server = xllamacpp.Server(p)

    def generate(self, prompt: list[int], count: int) -> object:
        """Continue ids by this many, with the sampling of the other baselines."""
        return self._complete(
            prompt, count, temperature=SAMPLING.temperature, top_k=SAMPLING.top_k, seed=1
        )

    def likeliest(self, prompt: list[int], count: int) -> list[int]:
        """The likeliest ids after a prompt, one after another."""
        answer = self._complete(prompt, count, temperature=0.0, top_k=1, logprobs=1)
        return [entry["id"] for entry in answer["choices"][0]["logprobs"]["content"]]

    def _complete(self, prompt: list[int], count: int, **sampling: Any) -> Any:
        request = {"prompt": prompt, "n_predict": count, "cache_prompt": False, "ignore_eos": True}
        plain = {"top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
        return self._server.handle_completions({**request, **plain, **sampling})


def write_gguf(path: Path, weights: Weights, exact: bool = False) -> None:
    """Write weights for llama.cpp, in their blocks, or in float32 if it has to be exact."""
    tensors = {
        name: dense(tensor) if exact else tensor for name, tensor in _tensors(weights.stored)
    }
    with path.open("wb") as file:
        _write_header(file, weights, tensors)
        for tensor in tensors.values():
            file.write(bytes(-file.tell() % _ALIGNMENT))
            file.write(_encoded(tensor)[1])


def _tensors(stored: StoredModel) -> Iterator[tuple[str, Matrix]]:
    """The tensors by llama.cpp's names, which has queries, keys, values, gate and up apart."""
    c, found = stored.config, stored.tensors
    yield "token_embd.weight", found["embedding.weight"]
    yield "output_norm.weight", found["norm.weight"]
    together = {
        "attention.qkv": (("attn_q", c.heads), ("attn_k", c.kv_heads), ("attn_v", c.kv_heads)),
        "mlp.gate_up": (("ffn_gate", 1), ("ffn_up", 1)),
        "attention.out": (("attn_output", 1),),
        "mlp.down": (("ffn_down", 1),),
        "norm1": (("attn_norm", 1),),
        "norm2": (("ffn_norm", 1),),
    }
    for layer in range(c.layers):
        for ours, theirs in together.items():
            matrix = found[f"blocks.{layer}.{ours}.weight"]
            unit = len(matrix) // sum(share for _, share in theirs)
            begin = 0
            for name, share in theirs:
                end = begin + share * unit
                yield f"blk.{layer}.{name}.weight", matrix[begin:end]
                begin = end


def _write_header(file: BinaryIO, weights: Weights, tensors: dict[str, Matrix]) -> None:
    c = weights.stored.config
    metadata = [
        ("general.architecture", _STRING, "llama"),
        ("general.license", _STRING, weights.licence),
        ("llama.context_length", _UINT32, c.context_length),
        ("llama.block_count", _UINT32, c.layers),
        ("llama.embedding_length", _UINT32, c.width),
        ("llama.feed_forward_length", _UINT32, c.hidden),
        ("llama.attention.head_count", _UINT32, c.heads),
        ("llama.attention.head_count_kv", _UINT32, c.kv_heads),
        ("llama.rope.freq_base", _FLOAT32, c.rotary_base),
        ("llama.attention.layer_norm_rms_epsilon", _FLOAT32, NORM_EPSILON),
        *_tokenizer(weights.vocabulary),
    ]
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, kind, value in metadata:
        file.write(_text(key) + struct.pack("<I", kind) + _value(kind, value))
    offset = 0
    for name, tensor in tensors.items():
        number, data = _encoded(tensor)
        dimensions = tensor.shape[::-1]
        count = len(dimensions)
        file.write(_text(name) + struct.pack(f"<I{count}Q", count, *dimensions))
        file.write(struct.pack("<IQ", number, offset))
        offset += len(data) + -len(data) % _ALIGNMENT


def _tokenizer(vocabulary: Vocabulary) -> Iterator[tuple[str, int, Any]]:
    tokens = [*map(_printable, vocabulary.pieces[:-1]), "<|endoftext|>"]
    kinds = [_NORMAL] * (len(tokens) - 1) + [_CONTROL]
    yield "tokenizer.ggml.model", _STRING, "gpt2"
    yield "tokenizer.ggml.pre", _STRING, "gpt-2"
    yield "tokenizer.ggml.tokens", _ARRAY, (_STRING, tokens)
    yield "tokenizer.ggml.token_type", _ARRAY, (_INT32, kinds)
    yield "tokenizer.ggml.merges", _ARRAY, (_STRING, merges_of(vocabulary.pieces[:-1]))
    yield "tokenizer.ggml.bos_token_id", _UINT32, vocabulary.end
    yield "tokenizer.ggml.eos_token_id", _UINT32, vocabulary.end


def merges_of(pieces: Sequence[bytes]) -> list[str]:
    """A merge for each piece of several bytes that two others make."""
    known = set(pieces)
    cuts = (
        next((i for i in range(len(p) - 1, 0, -1) if p[:i] in known and p[i:] in known), 0)
        for p in pieces
    )
    halves = [(p[:i], p[i:]) for p, i in zip(pieces, cuts, strict=True) if i]
    return [f"{_printable(left)} {_printable(right)}" for left, right in halves]


def _printable(piece: bytes) -> str:
    """A piece as GPT-2's tokenizer writes it: a printable character for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return "".join(chr(b if b in printable else 0x100 + others.index(b)) for b in piece)


def _value(kind: int, value: Any) -> bytes:
    if kind == _STRING:
        return _text(value)
    if kind == _ARRAY:
        item, values = value
        encoded: Iterable[bytes] = (_value(item, v) for v in values)
        return struct.pack("<IQ", item, len(values)) + b"".join(encoded)
    return struct.pack({_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f"}[kind], value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _encoded(tensor: Matrix) -> tuple[int, bytes]:
    """A tensor's type and bytes."""
    if not isinstance(tensor, Blocks):
        return _F32, dense(tensor).detach().contiguous().numpy().tobytes()
    floats = [tensor.scales] if tensor.minima is None else [tensor.scales, tensor.minima]
    quants = tensor.quants.view(torch.uint8).reshape(*tensor.scales.shape, -1)  # (N, G, 16 or 32)
    heads: list[Tensor] = [part[..., None].contiguous().view(torch.uint8) for part in floats]
    data = torch.cat([*heads, quants], dim=-1)  # (N, G, bytes of a block)
    return _Q4_1 if tensor.in_4_bits else _Q8_0, data.numpy().tobytes()
