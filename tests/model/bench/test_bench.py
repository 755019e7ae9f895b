import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from config.errors import InputError
from model.bench import command as bench
from model.bench.baselines import hugging_face, nano_gpt
from model.bench.command import main, measure, read_bandwidth, weight_bytes
from model.bench.llama_cpp import LlamaCpp, write_gguf
from model.checkpoints.blocks import dense
from model.checkpoints.weights_file import load_weights, save_weights
from model.convert.convert import convert
from model.inference.sampler import sample
from model.transformer import Transformer, TransformerConfig
from tests.model.convert.foreign import foreign_weights
from tests.model.made import NANO_GPT_BEGINNING, small_weights

CPU = torch.device("cpu")
CONFIG = TransformerConfig(300, 32, 2, 2, 16, 24)
NANO_GPT = f"""{NANO_GPT_BEGINNING}
        print("number of parameters: 1")

    def generate(self, ids, count, temperature, top_k):
        return torch.cat((ids, torch.zeros(1, count, dtype=torch.long)), dim=1)
"""


@pytest.fixture
def weights(tmp_path: Path) -> str:
    save_weights(tmp_path / "en.safetensors", small_weights())
    return str(tmp_path / "en.safetensors")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["--rounds", "1", "--tokens", "4", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_figures_come_as_json(weights: str, tmp_path: Path):
    (tmp_path / "model.py").write_text(NANO_GPT)
    arguments = ["--shape", "weights", "--weights", weights, "--nanogpt", f"{tmp_path}/model.py"]
    result = json.loads(run(*arguments, "--json"))["shapes"]["weights"]
    assert result["shape"]["vocabulary_size"] == 259
    speeds = {speed["name"]: speed for speed in result["speeds"]}
    assert speeds.keys() >= {"afterword", "afterword say", "nanogpt"}
    assert min(speed["tokens_per_second"] for speed in speeds.values()) > 0
    assert result["times"]["nanogpt"]["clock"] == pytest.approx(
        speeds["afterword"]["tokens_per_second"] / speeds["nanogpt"]["tokens_per_second"]
    )
    assert 0 < result["share_of_bandwidth_limit"] < 1


def test_people_get_a_table(weights: str):
    lines = run("--shape", "weights", "--weights", weights).splitlines()
    assert lines[0].startswith("weights: 259 ids, 2 layers, 16 wide")
    assert lines[2].split()[0] == "afterword"


def test_all_take_turns_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch):
    calls: list[tuple[str, int]] = []
    seconds = iter([9.0, 9.0, 9.0, 9.0, *[0.1, 2.0] * 2, *[0.1, 2.0, 0.3, 4.0], *[0.7, 2.0] * 2])
    monkeypatch.setattr(bench, "_timed", lambda g, p, n: (g(p, n), (t := next(seconds), t / 2))[1])
    contenders = {name: lambda p, n, name=name: calls.append((name, n)) for name in "ab"}
    a, b = measure(contenders, [1, 2], tokens=8, rounds=3)
    assert calls == [("a", 1), ("a", 8), ("b", 1), ("b", 8)] * 4
    assert (a.tokens_per_second, a.tokens_per_cpu_second) == (4, 8)
    assert (a.first_token_ms, a.first_token_cpu_ms) == (pytest.approx(100), pytest.approx(50))
    assert (b.tokens_per_second, b.first_token_ms) == (4, pytest.approx(300))


@pytest.mark.parametrize("count", [1, 70])
def test_what_say_does_is_measured_to_the_token(monkeypatch: pytest.MonkeyPatch, count: int):
    sampled: list[int] = []
    monkeypatch.setattr(
        "model.inference.generator.sample", lambda *a: (sampled.append(t := sample(*a)), t)[1]
    )
    bench.as_said(small_weights(), CPU)([1, 2, 3], count)
    assert len(sampled) == count


def test_the_bytes_of_a_token_are_those_of_all_matrices():
    matrices = [w for w in Transformer(CONFIG).parameters() if w.dim() == 2]
    assert weight_bytes(CONFIG, "float32", "float32") == sum(w.nbytes for w in matrices)
    assert weight_bytes(CONFIG, "int8", "int8") == sum(w.numel() for w in matrices)
    head, *others = (w.numel() for w in matrices)
    assert weight_bytes(CONFIG, "int4", "int8") == head + sum(others) * 20 // 32


def test_llama_cpp_reads_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for the package, which is not among ours."""
    asked: list[dict[str, object]] = []

    class Server:
        def __init__(self, parameters: SimpleNamespace) -> None:
            convert(Path(parameters.model.path), tmp_path / "again.safetensors")

        def handle_completions(self, request: dict[str, object]) -> dict[str, object]:
            asked.append(request)
            return {"choices": [{"logprobs": {"content": [{"id": 7}, {"id": 8}]}}]}

    parts = {name: SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")}
    stub = SimpleNamespace(CommonParams=lambda: SimpleNamespace(**parts), Server=Server)
    monkeypatch.setitem(sys.modules, "xllamacpp", stub)
    save_weights(tmp_path / "large.safetensors", foreign_weights())
    options = ("--shape", "large", "--weights", f"{tmp_path}/large.safetensors", "--llama-cpp")
    result = json.loads(run(*options, "--json"))["shapes"]["large"]
    assert result["times"].keys() >= {"llama.cpp", "afterword say"}
    assert result["memory_mb"].keys() == {"afterword", "llama.cpp"}
    assert {len(request["prompt"]) for request in asked} == {8}
    assert {request["n_predict"] for request in asked} == {1, 4}
    again = load_weights(tmp_path / "again.safetensors").stored
    assert dense(again.tensors["blocks.1.mlp.down.weight"]).equal(
        dense(foreign_weights().stored.tensors["blocks.1.mlp.down.weight"])
    )
    write_gguf(tmp_path / "large.gguf", foreign_weights())
    assert LlamaCpp(tmp_path / "large.gguf", 9).likeliest([1], 2) == [7, 8]


def test_llama_cpp_that_is_not_installed_is_named(weights: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    result = CliRunner().invoke(
        main, ["--shape", "weights", "--weights", weights, "--tokens", "4", "--llama-cpp"]
    )
    assert result.exit_code == 5
    assert "pip install xllamacpp" in result.stderr


def test_the_bandwidth_is_one_of_this_world():
    assert 1e8 < read_bandwidth(2**24, CPU) < 1e13


@pytest.mark.parametrize("content", [None, "import nothing_of_the_kind", "def", "class GPT: ..."])
def test_another_file_is_not_taken_for_nanogpt(tmp_path: Path, content: str | None):
    path = tmp_path / "model.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"model\.py is not nanoGPT's model\.py"):
        nano_gpt(CONFIG, path, CPU)


def test_more_tokens_than_the_context_are_refused(weights: str):
    arguments = ["--shape", "weights", "--weights", weights, "--tokens", "30"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 78
    assert "exceed the context of 32 tokens" in result.stderr


def test_hugging_faces_llama_has_our_shape_and_continues():
    pytest.importorskip("transformers", reason="needs the extra bench")
    generate = hugging_face(CONFIG, CPU)
    assert generate([1, 2, 3], 5).shape == (1, 8)
