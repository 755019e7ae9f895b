import json
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config.errors import OutputError, WeightsError
from model.checkpoints import stored_model
from model.checkpoints.blocks import quantize, quantize_8_bits
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.inference.engine import InferenceEngine
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig
from tests.model.made import small_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "en.safetensors"
    save_weights(path, small_weights())
    return path


def test_weights_come_back(path: Path):
    saved, loaded = small_weights(), load_weights(path)
    assert (loaded.language, loaded.licence, loaded.provenance) == ("en", "MIT", "made by a test")
    assert (
        loaded.vocabulary.merge_order.tolist()
        == saved.vocabulary.merge_order.tolist()
        != (loaded.vocabulary.kept.tolist())
    )
    assert loaded.model.config == saved.model.config
    assert not loaded.model.training
    ids = torch.arange(20)[None]
    torch.testing.assert_close(loaded.model(ids), saved.model(ids), rtol=0.02, atol=0.02)
    assert {p.name for p in path.parent.iterdir()} == {"en.safetensors"}


def test_older_files_are_read(path: Path):
    """Format 1, whose configuration knows no groups of heads and no rotary base."""
    rewrite(path, {"format": "1", "config": json.dumps(SHAPE)})
    loaded = load_weights(path)
    assert (loaded.stored.config.kv_heads, loaded.stored.config.rotary_base) == (2, 10_000.0)
    assert loaded.manner == {}


def in_blocks() -> Weights:
    """Weights of 4 bits with rows of another tokenizer; some are spelt by two ids."""
    torch.manual_seed(1)
    rows = [[i] for i in range(256)] + [[279], [7086, 67], [100_257]]
    ids = [i for row in rows for i in row]
    vocabulary = Vocabulary(ids, [len(row) for row in rows], r"\w+|\W")
    config = TransformerConfig(vocabulary.size, 32, 2, 4, 64, 96, 2, 1e5)
    state = Transformer(config).state_dict()
    tensors = {
        n: t if t.dim() == 1 else (quantize_8_bits if "embedding" in n else quantize)(t)
        for n, t in state.items()
    }
    tensors["norm.weight"] = torch.full((64,), 1.0001)
    manner = {"opening": "A short story.", "capitals": True}
    stored = StoredModel(config, tensors)
    return Weights(stored, vocabulary, "en", "Apache-2.0", "made by a test", manner=manner)


def test_blocks_rows_and_manner_come_back(tmp_path: Path):
    saved, path = in_blocks(), tmp_path / "large.safetensors"
    save_weights(path, saved)
    loaded = load_weights(path)
    assert loaded.manner == saved.manner
    assert loaded.stored.config == saved.stored.config
    assert loaded.vocabulary.pieces == saved.vocabulary.pieces
    assert loaded.vocabulary.encode(" the word") == saved.vocabulary.encode(" the word")
    for name, tensor in saved.model.state_dict().items():
        assert loaded.model.state_dict()[name].equal(tensor), name
    matrices = sum(64 * n for n in (512, 64, 192, 96)) * 2
    assert path.stat().st_size < 0.75 * matrices + 70 * saved.vocabulary.size + 12_000


@pytest.mark.parametrize("part", ["quants", "scales", "minima"])
@pytest.mark.parametrize("change", ["missing", "shape", "type"])
def test_blocks_whose_parts_do_not_fit_are_refused(tmp_path: Path, part: str, change: str):
    path = tmp_path / "large.safetensors"
    save_weights(path, in_blocks())
    name = f"blocks.1.mlp.down.weight.{part}"
    tensor = load_file(path)[name]
    changed = {"missing": None, "shape": tensor[:, :-1].contiguous(), "type": tensor.float()}
    rewrite(path, tensors={name: changed[change]})
    with pytest.raises(WeightsError, match=r'in the tensor "blocks\.1\.mlp\.down\.weight"'):
        load_weights(path)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_the_shapes_are_those_of_the_transformer(kv_heads: int):
    config = TransformerConfig(300, 32, 3, 4, 16, 24, kv_heads)
    state = Transformer(config).state_dict()
    assert stored_model.shapes(config) == {name: tuple(t.shape) for name, t in state.items()}


def test_no_transformer_is_built_for_what_needs_none(path: Path, monkeypatch: pytest.MonkeyPatch):
    built = []
    monkeypatch.setattr(StoredModel, "transformer", lambda self: built.append(self))
    weights = load_weights(path)
    InferenceEngine(weights.stored).prefill([1, 2])
    assert not built
    assert weights.model is None
    assert built


def test_loading_leaves_the_random_numbers_alone(path: Path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_weights(path)
    torch.testing.assert_close(torch.rand(1), expected)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.001, 0.01, 0.3, 0.9, 0.9999])
def test_truncated_weights_are_refused(path: Path, share: float):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_weights(path)


@pytest.mark.parametrize(
    "content", [b"Once upon a time there was a fox.", b"\0" * 100, b"\xff" * 64]
)
def test_other_files_are_refused(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_weights(path)


def test_missing_weights_and_folders_are_refused(tmp_path: Path):
    with pytest.raises(WeightsError, match=r"none\.safetensors is missing; train some"):
        load_weights(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_weights(tmp_path)


def test_code_in_a_weights_file_does_not_run(path: Path, tmp_path: Path):
    path.write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_weights(path)
    assert not (tmp_path / "ran").exists()


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def rewrite(
    path: Path, metadata: dict[str, str] | None = None, tensors: dict | None = None
) -> None:
    """Change parts of a weights file; None as a tensor removes it."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    known = json.loads(raw[8 : 8 + length])["__metadata__"]
    del known["sha256"]  # whoever means harm would leave it out, too
    content = {**load_file(path), **(tensors or {})}
    save_file(
        {k: v for k, v in content.items() if v is not None}, path, {**known, **(metadata or {})}
    )


SHAPE = {
    "vocabulary_size": 259,
    "context_length": 32,
    "layers": 2,
    "heads": 2,
    "width": 16,
    "hidden": 24,
}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"kind": "other"}, "holds no weights of afterword"),
        ({"format": "3"}, "format 3, this version of afterword reads 2; update"),
        ({"format": "0"}, "format 0, this version of afterword reads 2; train it again"),
        ({"format": "x"}, "does not tell its format's version"),
        ({"config": "{"}, "configuration cannot be read"),
        ({"config": "[]"}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "heads": 0})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "heads": "2"})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "kv_heads": 3})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "rotary_base": 10})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "colour": 1})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "kv_heads": 1})}, 'in the tensor "blocks.0.attention'),
        ({"manner": "[]"}, "manner cannot be read"),
        ({"manner": "{"}, "manner cannot be read"),
        ({"manner": "[" * 100_000}, "manner cannot be read"),
        ({"config": json.dumps({**SHAPE, "layers": 3})}, 'in the tensor "blocks.2'),
        ({"config": json.dumps({**SHAPE, "hidden": 25})}, 'in the tensor "blocks.0.mlp'),
        ({"config": json.dumps({**SHAPE, "context_length": 8193})}, "a context of 8193 tokens"),
        ({"config": json.dumps({**SHAPE, "vocabulary_size": 9})}, "lists 259 ids for 9"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(path: Path, metadata: dict[str, str], message: str):
    assert load_weights(path).model.config.vocabulary_size == SHAPE["vocabulary_size"]
    rewrite(path, metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(path)


@pytest.mark.parametrize("size", [10**5, 10**9, 10**15, 2**63])
@pytest.mark.parametrize("name", ["context_length", "layers", "width", "hidden"])
def test_giant_sizes_are_refused_before_anything_is_allocated(
    path: Path, name: str, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stored_model, "Transformer", lambda config: pytest.fail("allocates"))
    rewrite(path, {"config": json.dumps({**SHAPE, name: size})})
    with pytest.raises(WeightsError, match=r"a context of|does not fit its own"):
        load_weights(path)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("norm.weight", torch.full((16,), float("inf")), 'not finite in the tensor "norm.weight"'),
        ("norm.weight", None, 'in the tensor "norm.weight"'),
        ("extra", torch.zeros(1), 'in the tensor "extra"'),
        ("vocabulary", None, "its vocabulary cannot be read"),
        ("vocabulary", torch.full((3,), float("nan")), "its vocabulary cannot be read"),
        ("vocabulary", torch.arange(9, dtype=torch.int32), "lists 257 ids for 259"),
        ("vocabulary", torch.tensor([100_270], dtype=torch.int32), "damaged: .* 100270"),
        ("vocabulary_lengths", torch.tensor([1, 9], dtype=torch.int32), "damaged: .* lengths"),
        ("vocabulary_lengths", torch.ones(3), "its vocabulary cannot be read"),
        ("norm.weight.quants", torch.ones(3, 3), 'in the tensor "norm.weight"'),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    path: Path, name: str, tensor: torch.Tensor | None, message: str
):
    rewrite(path, tensors={name: tensor})
    with pytest.raises(WeightsError, match=message):
        load_weights(path)


def test_weights_that_are_not_finite_are_not_saved(path: Path):
    before = path.read_bytes()
    broken = small_weights()
    with torch.no_grad():
        broken.model.norm.weight[0] = 1e6  # beyond float16
    with pytest.raises(WeightsError, match="not finite"):
        save_weights(path, broken)
    assert path.read_bytes() == before


def test_a_failing_write_keeps_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        save_weights(path, replace(small_weights(), licence="other"))
    assert path.read_bytes() == before
    assert {p.name for p in path.parent.iterdir()} == {"en.safetensors"}


def test_a_folder_that_cannot_be_made_is_an_output_error(path: Path):
    with pytest.raises(OutputError, match="cannot be written"):
        save_weights(path / "en.safetensors", small_weights())
