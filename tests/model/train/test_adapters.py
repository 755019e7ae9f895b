"""Adapters of fetched weights are trained; the weights' own file stays as it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config.errors import WeightsError
from model.checkpoints.adapters import apply, load_adapter
from model.checkpoints.fetched import folder_of
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.data.corpus import CorpusFile
from model.train.options import TrainOptions
from model.train.run import run
from tests.model.convert.foreign import foreign_weights
from tests.model.made import story_text


@pytest.fixture
def options(home: Path, tmp_path: Path) -> TrainOptions:
    """Of a training of the fetched weights `tiny`."""
    base = folder_of("tiny") / "en.safetensors"
    save_weights(base, foreign_weights())
    text = tmp_path / "stories.txt"
    text.write_text(story_text(30))
    return TrainOptions(
        (CorpusFile(text),),
        tmp_path / "out",
        init_from=base,
        steps=16,
        context=32,
        spoken_openings=0.0,
        batch=4,
        learning_rate=2e-2,
        validate_every=8,
        precision="fp32",
        device="cpu",
        rank=4,
    )


def log(options: TrainOptions, key: str) -> list[float]:
    lines = map(json.loads, (options.folder / "log.jsonl").read_text().splitlines())
    return [line[key] for line in lines if key in line]


def test_an_adapter_is_trained_and_the_base_stays(options: TrainOptions):
    assert options.init_from
    before = options.init_from.read_bytes()
    run(options)
    assert options.init_from.read_bytes() == before
    losses = log(options, "loss")
    assert losses[-1] < losses[0] - 0.5
    adapter, base = load_adapter(options.weights_path), load_weights(options.init_from)
    assert (adapter.rank, adapter.alpha, adapter.base_name) == (4, 8.0, "tiny")
    assert (adapter.base, adapter.language) == (base.sha256, "en")
    assert adapter.bits_per_byte == pytest.approx(min(log(options, "bits_per_byte")), abs=1e-4)
    assert options.weights_path.stat().st_size < 60_000
    ids = torch.tensor([[5, 120, 7, 33]])
    adapted = apply(adapter, base, "a")
    assert (adapted.model(ids) - base.model(ids)).abs().max() > 0.1


def test_a_training_of_adapters_is_resumed(options: TrainOptions):
    run(replace(options, steps=8))
    state = load_state(options.state_path)
    assert {name.rpartition(".")[2] for name in state["model"]} == {"down", "up"}
    run(replace(options, resume=True))
    losses = log(options, "loss")
    assert len(losses) == 16
    assert max(losses[8:]) < losses[0] - 0.3  # it did not begin anew
    with pytest.raises(WeightsError, match="is of another training; delete"):
        run(replace(options, resume=True, rank=8))


def test_a_training_begins_with_an_adapter(options: TrainOptions):
    run(options)
    more = replace(options, out=options.out.parent / "more", adapter_from=options.weights_path)
    run(replace(more, steps=1))
    assert log(more, "loss")[0] < log(options, "loss")[0] - 0.3
    with pytest.raises(WeightsError, match="cannot be trained further"):
        run(replace(more, out=options.out.parent / "third", rank=8))
