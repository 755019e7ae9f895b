"""A tiny story model in the format of llama2.c."""

import struct
from pathlib import Path

import numpy as np

WIDTH, HIDDEN, LAYERS, HEADS, CONTEXT = 8, 12, 2, 2, 16
PIECES = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(bytes([b]) for b in range(256))]
PIECES += [b"t", b"h", b"e", b" ", b"th", b"the", b" the", b"he"]
SCORES = [0.0] * 263 + [-1.0, -2.0, -3.0, -0.5]
SHAPES = {
    "embedding": (len(PIECES), WIDTH),
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


def made_up() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.normal(0, 0.5, shape).astype("<f4") for name, shape in SHAPES.items()}


def write_story_model(path: Path) -> Path:
    """A model file as export.py of llama2.c writes it, with its tokenizer behind it."""
    header = struct.pack("<7i", WIDTH, HIDDEN, LAYERS, HEADS, HEADS, len(PIECES), CONTEXT)
    tokenizer = struct.pack("<i", max(map(len, PIECES)))
    for piece, score in zip(PIECES, SCORES, strict=True):
        tokenizer += struct.pack("<fi", score, len(piece)) + piece
    path.write_bytes(header + b"".join(t.tobytes() for t in made_up().values()) + tokenizer)
    return path
