"""Adapter files, and weights with an adapter."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from config.errors import WeightsError
from config.load import load
from model.checkpoints import adapter_store
from model.checkpoints.adapter_store import (
    adapters,
    base_file,
    base_name,
    in_place,
    new_adapter,
    put_in_place,
    remove,
    shipped_adapters,
)
from model.checkpoints.adapters import Adapter, apply, load_adapted, load_adapter, save_adapter
from model.checkpoints.blocks import Adapted, dense
from model.checkpoints.checksum import checksum
from model.checkpoints.fetched import folder_of
from model.checkpoints.store import describe, shipped_weights
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, load_generator
from model.inference.loading import stamps_of
from model.inference.quantization import FORMATS
from model.inference.sampler import SamplingOptions
from model.train.adapters.low_rank import add_adapters, changes_of, set_changes
from tests.model.convert.foreign import foreign_weights

IDS = [5, 120, 7, 33, 241, 9]


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    save_weights(tmp_path / "en.safetensors", foreign_weights())
    return load_weights(tmp_path / "en.safetensors")


def made_changes(weights: Weights, rank: int = 4) -> dict[str, tuple[Tensor, Tensor]]:
    """Random ones for each matrix of the blocks."""
    changes = changes_of(add_adapters(weights.stored.transformer(), rank))
    return {n: (down, torch.randn_like(up) / 10) for n, (down, up) in changes.items()}


def made_adapter(weights: Weights) -> Adapter:
    changes = made_changes(weights)
    return Adapter(changes, 4, 8.0, weights.sha256, "tiny", "en", "MIT", "By a test.", 2.5, 2.25)


def test_a_file_holds_what_was_written(weights: Weights, tmp_path: Path):
    adapter, path = made_adapter(weights), tmp_path / "a.safetensors"
    save_adapter(path, adapter)
    read = load_adapter(path)
    assert replace(read, changes={}) == replace(adapter, changes={})
    assert read.changes.keys() == adapter.changes.keys()
    assert len(read.changes) == 8
    for name, (down, up) in adapter.changes.items():
        assert torch.equal(read.changes[name][0], down.half())
        assert torch.equal(read.changes[name][1], up.half())
    with pytest.raises(WeightsError, match="holds no weights of afterword"):
        load_weights(path)


def test_what_was_trained_is_what_is_loaded(weights: Weights):
    """The model in training, and the weights with its adapter, compute the same."""
    adapter = made_adapter(weights)
    trained = add_adapters(weights.stored.transformer(), 4)
    set_changes(trained, adapter.changes, 2.0)
    adapted = apply(adapter, weights, "a")
    ids = torch.tensor([IDS])
    expected = trained(ids)
    assert torch.allclose(adapted.model(ids), expected, atol=1e-3)
    assert (expected - weights.model(ids)).abs().max() > 0.1
    assert (adapted.bits_per_byte, adapted.provenance) == (2.25, "made by a test By a test.")


def test_one_adapter_takes_the_place_of_another(weights: Weights):
    first, second = made_adapter(weights), made_adapter(weights)
    twice = apply(second, apply(first, weights, "a"), "b")
    name = "blocks.1.mlp.down.weight"
    once = apply(second, weights, "b").stored.tensors[name]
    assert torch.equal(dense(twice.stored.tensors[name]), dense(once))


@pytest.mark.parametrize("name", FORMATS)
def test_every_number_format_carries_it(weights: Weights, name: str):
    matrix = apply(made_adapter(weights), weights, "a").stored.tensors["blocks.0.mlp.down.weight"]
    assert isinstance(matrix, Adapted)
    x = torch.randn(3, matrix.shape[1])
    made, exact = FORMATS[name](matrix), x @ dense(matrix).t()
    assert (made(x) - exact).norm() / exact.norm() < 0.03
    row = dense(matrix)[5]
    assert (made.rows(5) - row).norm() / row.norm() < 0.03
    assert (made.rows(torch.tensor([5, 1]))[0] - row).norm() / row.norm() < 0.03


@pytest.mark.parametrize("name", FORMATS)
def test_a_product_keeps_no_second_copy_of_the_matrix(weights: Weights, name: str):
    """An engine keeps the product alone: of large weights, blocks beside it would be 54 MB."""
    matrix = apply(made_adapter(weights), weights, "a").stored.tensors["blocks.0.mlp.down.weight"]
    base = replace(matrix.base)
    alive = weakref.ref(base)
    product = FORMATS[name](replace(matrix, base=base)).product
    del base
    gc.collect()
    assert alive() is None
    assert product(torch.randn(1, matrix.shape[1])).shape == (1, matrix.shape[0])


def test_the_engine_computes_what_the_transformer_does(weights: Weights):
    adapted = apply(made_adapter(weights), weights, "a")
    expected = adapted.model(torch.tensor([IDS]))[0, -1]
    for name, limit in {"float32": 1e-3, "int4": 0.05}.items():
        engine = InferenceEngine(adapted.stored, name)
        engine.prefill(IDS[:-1])
        logits = engine.step(IDS[-1])
        assert (logits - expected).norm() / expected.norm() < limit


def test_only_the_adapters_learn(weights: Weights):
    model = add_adapters(weights.stored.transformer(), 4)
    learning = {name.rpartition(".")[2] for name, w in model.named_parameters() if w.requires_grad}
    assert learning == {"down", "up"}
    before = weights.model(torch.tensor([IDS]))
    assert torch.equal(model(torch.tensor([IDS])), before)


def test_other_weights_are_refused(weights: Weights, tmp_path: Path):
    adapter = made_adapter(weights)
    with pytest.raises(WeightsError, match="a belongs to other weights than those"):
        apply(replace(adapter, base="0" * 64), weights, "a")
    with pytest.raises(WeightsError, match="belongs to other weights"):
        apply(replace(adapter, base=""), replace(weights, sha256=""), "a")
    changes = {"blocks.9.mlp.down.weight": adapter.changes["blocks.1.mlp.down.weight"]}
    with pytest.raises(WeightsError, match='does not fit its weights in the tensor "blocks'):
        apply(replace(adapter, changes=changes), weights, "a")


def test_a_damaged_file_is_refused(weights: Weights, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match="is missing"):
        load_adapter(path)
    save_adapter(path, made_adapter(weights))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    damaged = tmp_path / "b.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(WeightsError, match="is damaged: its checksum"):
        load_adapter(damaged)
    damaged.write_bytes(content[:-9])
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_adapter(damaged)
    with pytest.raises(WeightsError, match="holds no adapter of afterword"):
        load_adapter(tmp_path / "en.safetensors")


@pytest.mark.parametrize(
    "metadata", [{"rank": "[" * 100_000}, {"rank": "9" * 5000}, {"alpha": "nan"}, {"alpha": None}]
)
def test_damaged_metadata_is_a_sentence(
    weights: Weights, tmp_path: Path, metadata: dict[str, str | None]
):
    path = tmp_path / "a.safetensors"
    save_adapter(path, made_adapter(weights))
    with safe_open(path, framework="pt") as file:
        changed = {**file.metadata(), **metadata}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    found = {key: value for key, value in changed.items() if value is not None}
    del found["sha256"]
    save_file(tensors, path, found | {"sha256": checksum([found, tensors])})
    with pytest.raises(WeightsError, match="is damaged: its metadata cannot be read"):
        load_adapter(path)


@pytest.mark.parametrize("header", [b"[" * 100_000, b'{"__metadata__":' + b'{"a":' * 100_000])
def test_a_deeply_nested_header_is_a_sentence(tmp_path: Path, header: bytes):
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsError, match="is no complete weights file"):
        load_adapter(path)
    assert describe(path).language == ""  # as the list of weights reads it


def test_a_newer_format_is_refused(weights: Weights, tmp_path: Path):
    path = tmp_path / "a.safetensors"
    save_adapter(path, made_adapter(weights))
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), "format": "2"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match="has format 2"):
        load_adapter(path)


def test_what_is_not_finite_is_not_written(weights: Weights, tmp_path: Path):
    adapter = made_adapter(weights)
    name, (down, up) = next(iter(adapter.changes.items()))
    broken = {**adapter.changes, name: (down * 1e6, up)}
    with pytest.raises(WeightsError, match="the adapter has numbers that are not finite"):
        save_adapter(tmp_path / "a.safetensors", replace(adapter, changes=broken))
    assert not (tmp_path / "a.safetensors").exists()


@pytest.fixture
def fetched_weights(home: Path) -> Weights:
    """Weights `tiny` that are fetched."""
    path = folder_of("tiny") / "en.safetensors"
    save_weights(path, foreign_weights())
    return load_weights(path)


def test_weights_are_loaded_with_the_adapter_in_place(fetched_weights: Weights):
    path, adapter = folder_of("tiny") / "en.safetensors", made_adapter(fetched_weights)
    place = new_adapter("en", "tiny")
    save_adapter(place, adapter)
    assert (adapters("en"), base_name(place)) == ([place], "tiny")
    name = "blocks.0.mlp.down.weight"
    settings = load(None, ["model.weights=tiny"]).settings
    seen = [stamps_of(settings)]
    assert not isinstance(load_adapted(path).stored.tensors[name], Adapted)
    put_in_place("en", "tiny", place.stem)
    assert in_place(path) == place
    seen.append(stamps_of(settings))
    found = load_adapted(path).stored.tensors[name]
    assert isinstance(found, Adapted)
    assert torch.equal(found.down, adapter.changes[name][0].half().float())
    put_in_place("en", "tiny", None)
    assert in_place(path) is None
    assert [len(stamps) for stamps in seen] == [1, 2]  # a running daemon takes it
    assert load_adapted(shipped_weights("en")).language == "en"


def test_the_weights_speak_without_an_adapter_that_does_not_fit(
    fetched_weights: Weights, caplog: pytest.LogCaptureFixture
):
    place = new_adapter("en", "tiny")
    save_adapter(place, replace(made_adapter(fetched_weights), base="0" * 64))
    put_in_place("en", "tiny", place.stem)
    path = folder_of("tiny") / "en.safetensors"
    options = GeneratorOptions(SamplingOptions(), 1, 4, random_seed=1)
    assert load_generator(path, options, "cpu").device == "cpu"
    assert f"{place} belongs to other weights" in caplog.text
    assert "are used without it" in caplog.text


@pytest.fixture
def spoken(fetched_weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter of `tiny` that comes with Afterword."""
    monkeypatch.setattr(adapter_store, "_shipped_folder", lambda: tmp_path / "shipped")
    path = tmp_path / "shipped" / "tiny-spoken.safetensors"
    path.parent.mkdir()
    save_adapter(path, made_adapter(fetched_weights))
    return path


def test_the_adapter_that_comes_with_afterword_is_in_place_until_another_is(spoken: Path):
    base = folder_of("tiny") / "en.safetensors"
    assert in_place(base) == spoken
    assert (base_name(spoken), base_file(spoken)) == ("tiny", base)
    assert load_adapted(base).adapter == "tiny-spoken"
    own = new_adapter("en", "tiny")
    save_adapter(own, load_adapter(spoken))
    put_in_place("en", "tiny", own.stem)
    assert in_place(base) == own
    put_in_place("en", "tiny", "tiny-spoken")
    assert in_place(base) == spoken
    put_in_place("en", "tiny", own.stem)
    remove(own)
    assert in_place(base) == spoken


def test_an_adapter_of_other_weights_or_another_language_is_left_out(spoken: Path):
    base = folder_of("tiny") / "en.safetensors"
    fitting = load_adapter(spoken)
    for other in (replace(fitting, base="0" * 64), replace(fitting, language="zh")):
        save_adapter(spoken, other)
        assert in_place(base) is None
        assert shipped_adapters("en") == []
        assert load_adapted(base).adapter == ""
