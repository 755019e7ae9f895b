"""A tiny story model in the format of llama2.c."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

WIDTH, HIDDEN, LAYERS, HEADS, CONTEXT = 8, 12, 2, 2, 16
PIECES = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(bytes([b]) for b in range(256))]
PIECES += [b"t", b"h", b"e", b" ", b"th", b"the", b" the", b"he"]
SCORES = [0.0] * 263 + [-1.0, -2.0, -3.0, -0.5]
MORE_PIECES = {  # with their scores; the merged ones are no single ids of cl100k_base
    "“".encode(): 0.0,
    b"q": 0.0,
    b"z": 0.0,
    b"qz": -1.5,
    b" qz": -2.5,
    b"zqz": -3.5,
}
SHAPES = {
    "norm1": (LAYERS, WIDTH),
    "q": (LAYERS, WIDTH, WIDTH),
    "k": (LAYERS, WIDTH, WIDTH),
    "v": (LAYERS, WIDTH, WIDTH),
    "out": (LAYERS, WIDTH, WIDTH),
    "norm2": (LAYERS, WIDTH),
    "w1": (LAYERS, HIDDEN, WIDTH),
    "w2": (LAYERS, WIDTH, HIDDEN),
    "w3": (LAYERS, HIDDEN, WIDTH),
    "norm": (WIDTH,),
    "frequencies": (2, CONTEXT, WIDTH // HEADS // 2),
}


def made_up(count: int = len(PIECES)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {"embedding": (count, WIDTH), **SHAPES}
    return {name: rng.normal(0, 0.5, shape).astype("<f4") for name, shape in shapes.items()}


def write_story_model(path: Path, more: Mapping[bytes, float] | None = None) -> Path:
    """A model file as export.py of llama2.c writes it, with its tokenizer behind it.

    `more`: further pieces with their scores, such as MORE_PIECES.
    """
    pieces, scores = [*PIECES, *(more or {})], [*SCORES, *(more or {}).values()]
    header = struct.pack("<7i", WIDTH, HIDDEN, LAYERS, HEADS, HEADS, len(pieces), CONTEXT)
    tokenizer = struct.pack("<i", max(map(len, pieces)))
    for piece, score in zip(pieces, scores, strict=True):
        tokenizer += struct.pack("<fi", score, len(piece)) + piece
    tensors = made_up(len(pieces)).values()
    path.write_bytes(header + b"".join(t.tobytes() for t in tensors) + tokenizer)
    return path
