import json
import math
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from config.installation import add_extra_command
from model.checkpoints import weights_file
from model.checkpoints.weights_file import save_weights
from model.explain.command import explain as main
from model.explain.page.page import write_page
from model.explain.text import render
from model.explain.trace import Token, Trace
from model.explain.tracing import make_trace
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions
from model.plotting import labels, missing_font
from tests.model.made import small_weights


def explain(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def trace_of(seed: str, sampling: SamplingOptions, count: int = 1, top: int = 5) -> Trace:
    """A trace of small weights with the random seed 1."""
    weights = small_weights()
    engine = InferenceEngine(weights.model, "float32")
    return make_trace(weights, engine, seed, sampling, random_seed=1, count=count, top=top)


def png(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_a_chinese_seed_on_the_real_model(tmp_path: Path):
    result = explain("武", "--language", "zh", "--tokens", 2, "--json", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    trace = json.loads(result.stdout)
    assert "".join(t["data"] for t in trace["tokens"]).replace(" ", "") == "武".encode().hex()
    size = trace["model"]["vocabulary_size"]
    assert [step["number"] for step in trace["steps"]] == [1, 2]
    for step, tokens in zip(trace["steps"], (3, 4), strict=True):  # <|endoftext|>, two for 武
        shapes = {s["name"]: s["shape"] for s in step["shapes"]}
        assert shapes["ids"] == [1, tokens]
        assert shapes["embedding"] == [1, tokens, trace["model"]["width"]]
        assert shapes["logits"] == [1, tokens, size]
        assert shapes["logits[:, -1]"] == [1, size]
        assert step["drawn"] in [c["token"] for c in step["candidates"]]
        assert step["text"].startswith("武")
        assert {"plain", "warm", "chance"} <= step["candidates"][0].keys()
        counts = list(step["left"].values())
        assert counts == sorted(counts, reverse=True)  # once 82, then 200
    first, second = trace["steps"]
    assert list(second["left"]) == ["vocabulary", "whole characters", "top-k", "top-p"]
    assert second["left"]["whole characters"] < 200 < first["left"]["whole characters"]
    assert {"plain", "right", "scaled", "twice"} <= trace["temperature"]["candidates"][0].keys()
    for name in ("token-1.png", "token-2.png", "temperature.png"):
        width, height = png(tmp_path / name)
        assert width > 1000
        assert height > 300


def test_of_chinese_prose_the_poem_that_answers_it_is_shown(monkeypatch: pytest.MonkeyPatch):
    read = []
    read_file = weights_file.read_safetensors
    monkeypatch.setattr(
        weights_file, "read_safetensors", lambda path: (read.append(path), read_file(path))[1]
    )
    result = explain("今天天气很好", "--language", "zh", "--tokens", 1)
    assert result.exit_code == 0, result.output
    assert len(read) == 1
    assert "is prose" in result.stdout
    assert "题“天气”一首：" in result.stdout
    assert "The seed “天气” as tokens" in result.stdout
    result = explain("今天天气很好", "--language", "zh", "--tokens", 1, "--json")
    trace = json.loads(result.stdout)
    assert (trace["seed"], trace["steps"][0]["text"][:2]) == ("天气", "天气")
    assert "is prose" in result.stderr


def test_the_text_shows_tables_and_the_growing_text():
    result = explain("the old sailor", "--tokens", 2)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert any(re.fullmatch(r"    “ old” +20 6f 6c 64 +2362 +\d+", line) for line in lines)
    assert sum(line.endswith("← drawn") for line in lines) == 2
    texts = [line.removeprefix("  text:  ") for line in lines if line.startswith("  text:")]
    assert texts[0].startswith(" the old sailor")
    assert texts[1].startswith(texts[0])
    assert len(texts[1]) > len(texts[0])


@pytest.mark.parametrize(
    "sampling",
    [SamplingOptions(), SamplingOptions(temperature=0), SamplingOptions(1.3, 0, 1.0, 1.0, 0.1)],
)
def test_it_draws_what_the_generator_draws(sampling: SamplingOptions):
    trace = trace_of("a fox", sampling, count=20)
    options = GeneratorOptions(sampling, 100, 20, random_seed=1)
    engine = InferenceEngine(trace.weights.model, "float32")
    generator = TextGenerator(engine, trace.weights.vocabulary, options)
    drawn = list(generator._tokens("a fox"))
    assert [step.drawn.id for step in trace.steps] == drawn
    assert len(drawn) == 20


def test_the_random_number_falls_into_the_share_of_the_drawn_token():
    trace = trace_of("a fox", SamplingOptions(1.3, 0, 1.0, 1.0), count=20, top=300)
    generator = torch.Generator().manual_seed(1)
    for step in trace.steps:
        number = torch.rand((), dtype=torch.float64, generator=generator).item()
        assert step.random_number == number
        begin, end = step.drawn_candidate.cumulative or (1, 1)
        assert begin <= number < end
        shares = sorted(c.cumulative for c in step.candidates if c.cumulative)
        assert [begin for begin, _ in shares[1:]] == [end for _, end in shares[:-1]]
        assert (shares[0][0], shares[-1][1]) == (0, 1)
        for c in step.candidates:
            assert (c.cumulative is None) == bool(c.left_out_by)
            begin, end = c.cumulative or (0, 0)
            assert c.draw_probability == pytest.approx(end - begin)
    line = next(line for line in render(trace) if line.startswith("  draw:"))
    assert f"{trace.steps[0].random_number:.4f}" in line


def test_temperature_0_divides_nothing_and_draws_no_number(tmp_path: Path):
    save_weights(tmp_path / "w.safetensors", small_weights())
    choice = ("fox", "--weights", tmp_path / "w.safetensors", "--set", "model.temperature=0")
    text = explain(*choice).stdout.partition("Why the temperature")[0]
    assert "÷" not in text
    assert "no random number" in text
    assert "nan" not in text
    result = explain(*choice, "--json", "--out", tmp_path, "--page", tmp_path / "a.html")
    assert "÷ 0" not in (tmp_path / "a.html").read_text("utf-8")
    for step in json.loads(result.stdout)["steps"]:
        assert step["random_number"] is None
        assert step["left"]["temperature 0"] == 1
        for c in step["candidates"]:
            assert (c["tempered"], c["warm"], c["cumulative"]) == (None, None, None)
            assert c["chance"] == (c["token"] == step["drawn"])
            assert bool(c["left_out_by"]) == (c["token"] != step["drawn"])
        drawn = next(c for c in step["candidates"] if c["chance"])
        assert 0 < drawn["plain"] < 1  # softmax before the choice


def test_t_is_the_length_of_the_sequence_alone():
    for line in render(trace_of("a fox", SamplingOptions())):
        if re.search(r"\bT\b", line):
            assert "T tokens are read" in line or "of T token ids" in line


def test_only_the_newest_tokens_are_read_once_the_context_is_full():
    trace = trace_of("x" * 40, SamplingOptions(), count=2)
    tokens = len(trace.tokens)
    assert tokens > trace.weights.model.config.context_length == 32
    assert [(step.tokens, step.read) for step in trace.steps] == [(tokens, 32), (tokens + 1, 32)]


def test_each_candidate_tells_what_left_it_out():
    sampling = SamplingOptions(temperature=1, top_k=4, top_p=0.6, repetition_penalty=1)
    (step,) = trace_of("a fox-", sampling, top=300).steps
    assert step.left["top-k"] == 4
    kept = [c for c in step.candidates if not c.left_out_by]
    assert len(kept) == step.left["top-p"]
    assert sum(c.draw_probability for c in kept) == pytest.approx(1)
    possible = [c for c in step.candidates if c.left_out_by != "whole characters"]
    assert len(possible) == step.left["whole characters"]
    assert {c.left_out_by for c in possible[4:]} == {"top-k"}
    assert {c.left_out_by for c in possible[:4]} == {"", "top-p"}
    four = sum(c.probability for c in possible[:4])  # top-p sees what top-k has left
    likelier = sum(c.probability for c in kept[:-1]) / four
    assert likelier < 0.6 <= likelier + kept[-1].probability / four


@pytest.mark.parametrize("temperature", [0, 1])
def test_what_would_go_on_with_the_last_word_is_shown_as_left_out(temperature: float):
    sampling = SamplingOptions(temperature, top_k=4, top_p=1, repetition_penalty=1)
    trace = trace_of("a fox", sampling, top=300)
    (first,) = trace.steps
    assert first.left["top-k" if temperature else "temperature 0"] == (4 if temperature else 1)
    assert 4 < first.left["new word"] < first.left["whole characters"]
    rows = {c.token.data: c for c in first.candidates}
    assert rows[b"e"].left_out_by == rows[b"'"].left_out_by == "new word"
    assert rows[b"e"].probability > 0
    assert rows[b"e"].draw_probability == 0
    assert rows[b" the"].left_out_by != "new word"
    assert any("(new word)" in line for line in render(trace))


def test_what_the_weights_never_say_is_a_filter_of_its_own():
    weights = replace(small_weights(), manner={"never": ["\n", "q"], "capitals": True})
    engine = InferenceEngine(weights.model, "float32")
    sampling = SamplingOptions(0.8, 0, 1.0)
    (step,) = make_trace(weights, engine, "a fox-", sampling, 1, count=1, top=300).steps
    assert list(step.left)[-1] == "manner"
    assert step.left["manner"] == step.left["whole characters"] - 2
    reasons = {c.token.data: c.left_out_by for c in step.candidates}
    assert reasons[b"q"] == reasons[b"\n"] == "manner"


def test_what_the_weights_read_before_the_seed_is_told():
    opening = {"first_words": "a fox", "text": "An opening.\n"}
    weights = replace(small_weights(), manner={"openings": [opening]})
    engine = InferenceEngine(weights.model, "float32")
    trace = make_trace(weights, engine, "a fox", SamplingOptions(), 1, count=1, top=3)
    assert trace.text == "An opening.\n a fox"
    assert "These weights read “An opening.” before it." in list(render(trace))
    assert "read “An opening.” before the seed" in write_page(trace, "a fox", "w")
    others = render(trace_of("a fox", SamplingOptions()))
    assert not any("These weights read" in line for line in others)


def test_a_word_in_progress_may_go_on():
    steps = trace_of("a fox", SamplingOptions(1, 0, 1), count=30).steps
    in_force = ["new word" in step.left for step in steps]
    assert in_force == sorted(in_force, reverse=True)
    assert in_force[0]
    assert not in_force[-1]


@pytest.mark.parametrize("temperature", [0.5, 0.001])
def test_dividing_logits_takes_powers_of_probabilities(temperature: float):
    trace = trace_of("a fox", SamplingOptions(temperature), top=300)
    first, second = trace.temperature_rows[:2]
    ratio = first.probability / second.probability
    if temperature == 0.5:
        assert first.logits_divided / second.logits_divided == pytest.approx(ratio**2)
    assert first.power == pytest.approx(first.logits_divided)
    assert first.probabilities_divided / second.probabilities_divided == pytest.approx(ratio)
    if temperature == 0.5:
        assert 1 < first.softmax_twice / second.softmax_twice < math.exp(2)
    for probabilities in trace.distributions.values():
        torch.testing.assert_close(probabilities.sum().item(), 1.0)


def test_a_font_of_the_machine_is_used_for_what_the_usual_one_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from fontTools.fontBuilder import FontBuilder
    from fontTools.ttLib.tables._g_l_y_f import Glyph
    from matplotlib import font_manager

    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "wu"])
    builder.setupCharacterMap({ord("武"): "wu"})
    builder.setupGlyf({".notdef": Glyph(), "wu": Glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "wu": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "One Character", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "one.ttf")
    manager = font_manager.fontManager
    only = [entry for entry in manager.ttflist if entry.name.startswith("DejaVu")]
    monkeypatch.setattr(manager, "ttflist", only)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    seeds = [(text, text.encode()) for text in ("fox", "武", "文")]
    assert labels(seeds) == (["fox", "e6 ad a6", "e6 96 87"], ["DejaVu Sans"])
    assert "fonts-noto-cjk" in (missing_font(["fox", "武"]) or "")
    assert missing_font(["fox"]) is None
    files = [str(tmp_path / "one.ttf")]  # installed after matplotlib has made its list
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    assert labels(seeds) == (["fox", "武", "e6 96 87"], ["DejaVu Sans", "One Character"])
    assert missing_font(["武"]) is None
    assert "lack 1 of the pictures' characters, such as “文”" in (missing_font(["武文"]) or "")


@pytest.mark.parametrize(
    ("data", "text"),
    [(b" fox", " fox"), (b"\xe6\xad", r"\xe6\xad"), (b"\n\t", r"\n\t"), (b"", "<|endoftext|>")],
)
def test_every_token_can_be_shown(data: bytes, text: str):
    assert Token(0, 0, data).text == text


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    save_weights(tmp_path / "w.safetensors", small_weights())
    result = explain("fox", "--weights", tmp_path / "w.safetensors", "--out", tmp_path / "out")
    assert result.exit_code == 5
    assert f"`{add_extra_command('train')}` brings it" in result.stderr
    assert "Token 3" in result.stdout


def test_mistakes_are_told(tmp_path: Path):
    weights = tmp_path / "w.safetensors"
    save_weights(weights, small_weights())
    assert explain("fox", "--weights", tmp_path / "none").exit_code == 65
    assert explain("fox", "--set", "model.heat=2").exit_code == 78
    result = explain("fox", "--weights", weights, "--tokens", 1, "--out", weights / "pictures")
    assert (result.exit_code, "cannot be written" in result.stderr) == (73, True)
