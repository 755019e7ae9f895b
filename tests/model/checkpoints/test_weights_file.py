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
from model.checkpoints import weights_file
from model.checkpoints.weights_file import load_weights, save_weights
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
        ({"format": "2"}, "format 2, this version of afterword reads 1; update"),
        ({"format": "0"}, "format 0, this version of afterword reads 1; train it again"),
        ({"format": "x"}, "does not tell its format's version"),
        ({"config": "{"}, "configuration cannot be read"),
        ({"config": "[]"}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "heads": 0})}, "configuration cannot be read"),
        ({"config": json.dumps({**SHAPE, "heads": "2"})}, "configuration cannot be read"),
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
    monkeypatch.setattr(weights_file, "Transformer", lambda config: pytest.fail("allocates"))
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
