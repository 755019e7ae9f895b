from pathlib import Path

import numpy as np
import pytest
import torch

from config.errors import WeightsError
from model.teacher.llama2c import encode_piece, read_story_model, shared_ids, start_from_story_model
from model.text.tokenizer import load_encoding
from model.text.vocabulary import Vocabulary
from tests.model.story_model import (
    HEADS,
    LAYERS,
    PIECES,
    WIDTH,
    made_up,
    write_story_model,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_story_model(tmp_path / "llama2.data")


def reference_logits(ids: list[int]) -> np.ndarray:
    """run.c's `forward`, position by position, in numpy (float64)."""
    w = {name: t.astype(np.float64) for name, t in made_up().items()}
    size = WIDTH // HEADS
    keys: list[list[np.ndarray]] = [[] for _ in range(LAYERS)]
    values: list[list[np.ndarray]] = [[] for _ in range(LAYERS)]

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean() + 1e-5) * weight

    def rotated(x: np.ndarray, position: int) -> np.ndarray:
        y = x.copy()
        for i in range(0, WIDTH, 2):
            angle = position / 10000.0 ** ((i % size) / size)
            y[i] = x[i] * np.cos(angle) - x[i + 1] * np.sin(angle)
            y[i + 1] = x[i] * np.sin(angle) + x[i + 1] * np.cos(angle)
        return y

    for position, token in enumerate(ids):
        x = w["embedding"][token]
        for layer in range(LAYERS):
            h = norm(x, w["norm1"][layer])
            q = rotated(w["q"][layer] @ h, position)
            keys[layer].append(rotated(w["k"][layer] @ h, position))
            values[layer].append(w["v"][layer] @ h)
            mixed = np.zeros(WIDTH)
            for head in range(HEADS):
                part = slice(head * size, (head + 1) * size)
                scores = np.array([q[part] @ k[part] for k in keys[layer]]) / np.sqrt(size)
                weights = np.exp(scores - scores.max())
                weights /= weights.sum()
                mixed[part] = sum(a * v[part] for a, v in zip(weights, values[layer], strict=True))
            x = x + w["out"][layer] @ mixed
            h = norm(x, w["norm2"][layer])
            gate = w["w1"][layer] @ h
            x = x + w["w2"][layer] @ (gate / (1 + np.exp(-gate)) * (w["w3"][layer] @ h))
    return w["embedding"] @ norm(x, w["norm"])


def test_the_body_computes_what_llama2c_computes(path: Path):
    story = read_story_model(path)
    vocabulary = Vocabulary([])
    model = start_from_story_model(path, vocabulary)
    text = [65, 66, 67, 68, 69]  # cl100k_base's ids of single bytes
    old = [encode_piece(story, vocabulary.pieces[i])[0] for i in text]
    found = model(torch.tensor([text]))[0, -1].detach().numpy()
    new_to_old = [encode_piece(story, piece)[0] for piece in vocabulary.pieces[:-1]]
    np.testing.assert_allclose(found[:-1], reference_logits(old)[new_to_old], rtol=1e-3, atol=1e-4)


def test_new_embeddings_are_the_mean_of_the_old_pieces(path: Path):
    vocabulary = Vocabulary([279, 1820])  # " the", "the"
    old = made_up()["embedding"]
    new = start_from_story_model(path, vocabulary).embedding.weight.detach().numpy()
    np.testing.assert_allclose(new[vocabulary.pieces.index(b" the")], old[265], rtol=1e-6)
    np.testing.assert_allclose(new[vocabulary.pieces.index(b"q")], old[3 + ord("q")], rtol=1e-6)
    np.testing.assert_allclose(new[vocabulary.end], old[1], rtol=1e-6)


def test_ids_that_both_tokenizers_have_are_shared(path: Path):
    shared = shared_ids(path)
    pieces = set(Vocabulary(shared).pieces)
    assert {b" the", b"the", b"th", b"he"} <= pieces
    assert b" a" not in pieces
    assert len(shared) == 256 - 1 + 4  # every byte but the line end, and these


def test_shared_ids_spell_as_the_story_model_does(path: Path):
    pieces = {b"he", b"th"}
    kept = [i for i in shared_ids(path) if load_encoding().decode_single_token_bytes(i) in pieces]
    as_story_model, as_cl100k = Vocabulary(kept), Vocabulary(sorted(kept))
    assert [as_story_model.pieces[i] for i in as_story_model.encode(" the")] == [b" ", b"t", b"he"]
    assert [as_cl100k.pieces[i] for i in as_cl100k.encode(" the")] == [b" ", b"th", b"e"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (b" the", [b" the"]),
        (b"theh", [b"the", b"h"]),
        (b"hhe", [b"h", b"he"]),
        ("é".encode(), [b"\xc3", b"\xa9"]),
        (b"\xc3", [b"\xc3"]),
        (b"tx", [b"t", b"x"]),
    ],
)
def test_pieces_are_merged_by_score(path: Path, text: bytes, pieces: list[bytes]):
    story = read_story_model(path)
    assert [story.pieces[i] for i in encode_piece(story, text)] == pieces


def test_characters_are_preferred_to_the_bytes_they_equal(path: Path):
    assert encode_piece(read_story_model(path), b"t") == [PIECES.index(b"t", 259)]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused(path: Path, share: float):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"is no llama2\.c model followed by"):
        read_story_model(path)


@pytest.mark.parametrize(
    "content", [b"Once upon a time there was a little fox. " * 9, b"\xff" * 99]
)
def test_other_files_are_refused(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="scripts/fetch-story-model"):
        read_story_model(path)
