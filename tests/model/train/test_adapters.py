"""Adapters of fetched weights are trained; the weights' own file stays as it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from config.errors import WeightsError
from model.checkpoints.adapter_store import adapters, in_place
from model.checkpoints.adapters import apply, load_adapted, load_adapter
from model.checkpoints.fetched import choose, folder_of
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.data.corpus import CorpusFile
from model.train.command import train
from model.train.options import TrainOptions
from model.train.refresh import corpus_folder, training_folder
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


def refresh(*more: object) -> Result:
    quick = ["--steps", "16", "--threads", "1", "--device", "cpu", "--precision", "fp32"]
    arguments = [*quick, "--context", "32", "--learning-rate", "1e-2", *map(str, more)]
    return CliRunner().invoke(train, arguments, catch_exceptions=False)


@pytest.fixture
def base(options: TrainOptions) -> Path:
    """The file of the weights `tiny`; the user has texts."""
    corpus_folder().mkdir(parents=True)
    (corpus_folder() / "mine.txt").write_text(story_text(80).replace("<|endoftext|>", ""))
    assert options.init_from
    return options.init_from


def test_a_refresh_puts_an_adapter_on_the_fetched_weights_in_use(base: Path):
    choose("en", "tiny")
    before = base.read_bytes()
    result = refresh()
    assert result.exit_code == 0, result.output
    assert f"Starting from an adapter of rank 16 on {base}, which stays" in result.output
    assert "16 steps make" in result.output
    assert "tokens a second here on 1 thread, validations included" in result.output
    assert base.read_bytes() == before
    place = in_place(base)
    assert place
    assert f"The adapter {place.stem} is in place for tiny" in result.output
    adapter = load_adapter(place)
    assert adapter.bits_before
    assert adapter.bits_per_byte is None  # the scores are those of the average with the start
    assert adapter.scores
    assert adapter.scores.own.after < adapter.scores.own.before - 0.5
    assert f"texts {adapter.scores.own}, plain language {adapter.scores.plain}." in result.output
    assert adapter.provenance == "Adapter of tiny, from texts of the user."
    left = {path.name for path in training_folder("en", "tiny").iterdir()}
    assert left == {"log.jsonl", "report.html", "report.png"}
    again = refresh("--steps", 2, "--learning-rate", 100)
    assert f"Starting from {place}, an adapter of {base}" in again.output
    assert "Nothing was better than before" in again.output
    assert (adapters("en"), in_place(base)) == ([place], place)
    assert load_adapted(base).scores == adapter.scores


@pytest.mark.usefixtures("interrupted")
def test_a_stopped_refresh_goes_on(base: Path):
    stopped = refresh("--weights", "tiny")
    assert "Stopped after step 6; the same command goes on." in stopped.output
    assert in_place(base) is None
    result = refresh("--weights", "tiny")
    assert f"Going on with the training in {training_folder('en', 'tiny')}" in result.output
    lines = (training_folder("en", "tiny") / "log.jsonl").read_text().splitlines()
    steps = [entry["step"] for entry in map(json.loads, lines) if "loss" in entry]
    assert steps == list(range(1, 17))
    place = in_place(base)
    assert place
    first = json.loads(lines[0])["bits_per_byte"]
    assert load_adapter(place).bits_before == pytest.approx(first, abs=1e-4)


def test_a_refresh_names_weights_that_are_there(base: Path):
    result = refresh("--weights", "lagre")
    assert (result.exit_code, 'called "lagre"; give --weights small' in result.stderr) == (66, True)
    result = refresh("--weights", "tiny", "--init-from", base)
    assert (result.exit_code, "not both" in result.stderr) == (2, True)
    result = refresh("--weights", "small", "--corpus", base, "--out", "out")
    assert (result.exit_code, "takes the name of fetched weights" in result.stderr) == (2, True)


def test_the_command_with_a_corpus_writes_an_adapter(base: Path, tmp_path: Path):
    text = corpus_folder() / "mine.txt"
    result = refresh("--weights", "tiny", "--corpus", text, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    written = tmp_path / "a" / "en.safetensors"
    assert f"the adapter is in {written}; `afterword weights use {written}`" in result.output
    assert load_adapter(written).base_name == "tiny"
    assert in_place(base) is None
