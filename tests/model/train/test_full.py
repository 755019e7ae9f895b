"""All parameters of fetched weights are trained: weights of their own, and the base stays."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from config.errors import GenerationError, RefusedError
from daemon.cli.main import cli
from model.checkpoints import fetched
from model.checkpoints.adapter_store import new_adapter, put_in_place
from model.checkpoints.adapters import save_adapter
from model.checkpoints.blocks import Blocks
from model.checkpoints.fetched import choose, chosen, folder_of, is_trained
from model.checkpoints.in_use import go_back
from model.checkpoints.store import fetched_weights, find_weights, restore
from model.checkpoints.weights_file import load_weights, save_weights
from model.inference.generator import GeneratorOptions, load_generator
from model.inference.sampler import SamplingOptions
from model.text.manner import Manner
from model.train.command import train
from model.train.full import memory
from model.train.full.memory import needed_bytes, require_memory
from model.train.refresh import corpus_folder, training_folder
from model.transformer import TransformerConfig
from tests.model.checkpoints.test_adapters import made_adapter
from tests.model.convert.foreign import foreign_weights
from tests.model.made import story_text

MANNER = {"capitals": True, "never": ["#"]}


@pytest.fixture
def base(home: Path) -> Path:
    """The file of the fetched weights `tiny`, with a licence; the user has texts."""
    path = folder_of("tiny") / "en.safetensors"
    save_weights(path, replace(foreign_weights(), manner=MANNER))
    (path.parent / "LICENSE").write_text("free")
    (path.parent / "fetched.json").write_text("{}")
    corpus_folder().mkdir(parents=True)
    (corpus_folder() / "mine.txt").write_text(story_text(80).replace("<|endoftext|>", ""))
    return path


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its samples and curves take most of the time; tests/model/train/test_refresh.py has them."""
    monkeypatch.setattr("model.train.refresh.make_samples", lambda *_: [])
    monkeypatch.setattr("model.train.refresh.write_report", lambda *_: "none")


def refresh(*more: object, device: str = "cpu") -> Result:
    quick = ["--full", "--steps", "16", "--threads", "1", "--device", device, "--precision", "fp32"]
    arguments = [*quick, "--context", "32", "--learning-rate", "1e-2", *map(str, more)]
    return CliRunner().invoke(train, arguments, catch_exceptions=False)


def the_trained_ones() -> Path:
    (info,) = (info for info in fetched_weights("en") if is_trained(info.name))
    return info.path


def test_weights_of_their_own_are_made_and_the_base_stays(base: Path):
    choose("en", "tiny")
    before = base.read_bytes()
    result = refresh()
    assert result.exit_code == 0, result.output
    assert "Training all 0.1 million parameters needs some 0.6 GB of memory (cpu)." in result.output
    assert f"Starting from all parameters of {base}, which stays as it is." in result.output
    assert base.read_bytes() == before
    path = the_trained_ones()
    name = path.parent.name
    assert f"The new weights are {name}, in {path.parent}; " in result.output
    assert sorted(file.name for file in path.parent.iterdir()) == ["LICENSE", "en.safetensors"]
    made, old = load_weights(path), load_weights(base)
    assert (made.manner, made.licence, made.stored.config) == (
        MANNER,
        "Apache-2.0",
        old.stored.config,
    )
    assert made.provenance == "made by a test Trained further on texts of the user."
    assert made.vocabulary.pieces == old.vocabulary.pieces
    lines = (training_folder("en", "tiny-full") / "log.jsonl").read_text().splitlines()
    bits = [entry["bits_per_byte"] for entry in map(json.loads, lines) if "bits_per_byte" in entry]
    assert made.bits_per_byte is None  # those of the average with the start are its scores
    assert min(bits) < bits[0] - 0.5
    assert made.scores
    assert made.scores.own.after < made.scores.own.before - 0.5
    # What was chosen is replaced, in a running daemon, too, and can be gone back to.
    assert "They are used from now on" in result.output
    assert find_weights("en", None) == path
    assert go_back("en") == ["tiny"]
    assert find_weights("en", None) == base


def test_their_matrices_are_in_8_bits_and_speak(base: Path):
    refresh("--weights", "tiny")
    path = the_trained_ones()
    for name, matrix in load_weights(path).stored.tensors.items():
        assert isinstance(matrix, Blocks) == ("norm" not in name)
        assert not isinstance(matrix, Blocks) or not matrix.in_4_bits
    options = GeneratorOptions(SamplingOptions(), 1, 12, random_seed=1)
    generator = load_generator(path, options, "cpu")
    assert generator._manner == Manner.from_table(MANNER)
    assert list(generator.continue_text("the fox-", lambda: False))


def test_where_each_seed_chooses_they_are_named_and_not_used(base: Path):
    result = refresh("--weights", "tiny")
    name = the_trained_ones().parent.name
    assert f"`afterword weights use {name}` uses them from now on." in result.output
    assert chosen("en") is None
    again = refresh("--weights", name, "--steps", 2, "--learning-rate", 100)
    assert "Nothing was better than before" in again.output
    assert restore("en", name) == the_trained_ones()


def test_they_begin_with_the_adapter_in_place(base: Path):
    place = new_adapter("en", "tiny")
    save_adapter(place, made_adapter(load_weights(base)))
    put_in_place("en", "tiny", place.stem)
    result = refresh("--weights", "tiny")
    assert f"{base} with the adapter {place.stem}, which stays as it is" in result.output
    assert load_weights(the_trained_ones()).provenance.startswith("made by a test By a test. Tra")


@pytest.mark.usefixtures("interrupted")
def test_a_stopped_training_goes_on(base: Path):
    stopped = refresh("--weights", "tiny")
    assert "Stopped after step 6; the same command goes on." in stopped.output
    result = refresh("--weights", "tiny")
    assert "Going on with the training in" in result.output
    assert load_weights(the_trained_ones()).manner == MANNER


def test_without_a_gpu_adapters_are_the_way(base: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = refresh("--weights", "tiny", device="auto")
    assert (result.exit_code, result.stderr) == (
        RefusedError.exit_code,
        "Error: There is no GPU here, and a CPU trains all 0.1 million parameters too slowly; "
        "leave out --full to train an adapter, or add --device cpu.\n",
    )
    assert not training_folder("en", "tiny-full").exists()


def test_too_little_memory_is_refused_before_anything_is_done(
    base: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "available_memory", lambda: 500_000_000)
    for more in ((), ("--corpus", corpus_folder() / "mine.txt", "--out", "out")):
        result = refresh("--weights", "tiny", *more)
        assert (result.exit_code, result.stderr) == (
            GenerationError.exit_code,
            "Error: Training all 0.1 million parameters needs some 0.6 GB of memory, and 0.5 GB "
            "are free (cpu); close other programs, or leave out --full to train an adapter.\n",
        )
    assert not training_folder("en", "tiny-full").exists()


def test_the_memory_of_a_gpu_counts(monkeypatch: pytest.MonkeyPatch):
    config = TransformerConfig(49_152, 256, 30, 9, 576, 1536, kv_heads=3)
    monkeypatch.setattr(memory, "choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (4 * 10**9, 8 * 10**9))
    with pytest.raises(GenerationError, match=r"134\.5 million .* and 4\.0 GB are free \(cuda\)"):
        require_memory(config, 2, "cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (8 * 10**9, 8 * 10**9))
    assert require_memory(config, 2, "cuda").startswith("Training all 134.5 million parameters")
    assert needed_bytes(config, 4) > needed_bytes(config, 2) + 10**9


def test_a_corpus_of_ones_own_and_a_folder(base: Path, tmp_path: Path):
    corpus = ("--corpus", corpus_folder() / "mine.txt", "--out", tmp_path / "a")
    result = refresh("--weights", "tiny", *corpus, "--batch", 2)
    assert result.exit_code == 0, result.output
    written = tmp_path / "a" / "en.safetensors"
    assert f"the weights are in {written}." in result.output
    made = load_weights(written)
    assert (made.manner, made.stored.has_blocks) == (MANNER, False)
    assert "trains" not in refresh("--weights", "tiny", *corpus, "--resume", "--steps", 17).output
    assert load_weights(written).manner == MANNER


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--weights", "small"), 66, "--full is for fetched weights, such as --weights large"),
        ((), 66, "--full is for fetched weights"),
        (("--corpus", "a.txt", "--out", "out"), 2, "--full goes with --weights"),
    ],
)
def test_small_weights_are_trained_whole_without_it(
    arguments: tuple[str, ...], code: int, said: str, base: Path
):
    result = refresh(*arguments)
    assert (result.exit_code, said in result.stderr) == (code, True)


def weights(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["weights", *arguments])


def test_they_are_listed_verified_used_and_removed(base: Path):
    refresh("--weights", "tiny")
    path = the_trained_ones()
    name = path.parent.name
    assert f"  {name} " in weights("list").stdout
    assert f"{name}: its checksum is right." in weights("verify").stdout
    assert weights("use", name).stdout.startswith(f"{name} is in place.")
    assert find_weights("en", None) == path
    refused = weights("fetch", str(base.parent), "--name", name)
    assert (refused.exit_code, "cannot name weights" in refused.stderr) == (2, True)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert f"`afterword weights remove {name}` deletes them" in str(weights("verify").exception)
    assert weights("remove", name).stdout.startswith(f"{name} is removed.")
    assert (chosen("en"), path.parent.exists(), base.is_file()) == (None, False, True)
    assert f'called "{name}" (there are none)' in str(weights("remove", name).exception)
    missing = weights("use", name)
    assert f'No weights are called "{name}"' in str(missing.exception)


@pytest.mark.parametrize("base_name", ["large", "large-full-20261129-150000", "x" * 64])
def test_names(base_name: str):
    name = fetched.new_trained_name(base_name)
    assert fetched.is_name(name)
    assert is_trained(name)
    assert name.count("-full-") == 1
    assert name.startswith(base_name[:5])
    assert not is_trained(f"{name}-20261130-150000")  # an adapter of it
