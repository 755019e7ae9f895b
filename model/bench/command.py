"""Speed of generation: `python -m model.bench`, against Hugging Face transformers and nanoGPT.

All contenders have the same shape, prompt and sampling (temperature 0.8, top-k 200) and random
weights, on which speed does not depend. They run alternately, round by round, so that other load
on the machine affects all of them alike; the results are medians. CPU time is given beside
wall-clock time: it is the fairer of the two on a busy machine.

"afterword" is engine and sampler only, for comparison with the others. For the weights in use there
is also "afterword say": from a seed to whole sentences, as `afterword say` makes them, with the
sampling of the default settings. llama.cpp, if asked for, computes the same weights.
"""

import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch

from config.errors import ConfigError
from config.installation import add_extra_command
from config.languages import LANGUAGES
from config.load import load
from model.bench.baselines import (
    SAMPLING,
    SHAPES,
    Generate,
    hugging_face,
    machine,
    nano_gpt,
)
from model.bench.llama_cpp import LlamaCpp, write_gguf
from model.checkpoints.store import find_weights
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights, load_weights
from model.command import report_errors
from model.device import choose_device
from model.inference.engine import InferenceEngine
from model.inference.generator import TextGenerator
from model.inference.loading import generator_options
from model.inference.sampler import sample
from model.memory import resident_memory_mb, return_freed_memory
from model.transformer import Transformer, TransformerConfig

WEIGHTS = "weights"  # name of the shape of the weights in use
LARGE = "large"  # name of the shape of the larger weights, and of these

_BYTES_A_WEIGHT = {"int4": 0.625, "int8": 1, "bfloat16": 2, "float32": 4}
_READS = 20  # of the bandwidth measurement


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds.

    Attributes:
        name: of the contender.
        tokens_per_second: new tokens a second of wall-clock time, prefill included.
        tokens_per_cpu_second: new tokens a second of CPU time, prefill included.
        first_token_ms: wall-clock time from the prompt to the first new token.
        first_token_cpu_ms: CPU time from the prompt to the first new token.
    """

    name: str
    tokens_per_second: float
    tokens_per_cpu_second: float
    first_token_ms: float
    first_token_cpu_ms: float


def afterword(engine: InferenceEngine) -> Generate:
    """Our engine and sampler; each prompt is read as if it were new."""
    generator = torch.Generator().manual_seed(1)

    def generate(prompt: list[int], count: int) -> None:
        engine.forget()
        logits = engine.prefill(prompt)
        for left in reversed(range(count)):
            token = sample(logits, (), SAMPLING, generator)
            if left:
                logits = engine.step(token)

    return generate


def as_said(weights: Weights, device: torch.device) -> Generate:
    """`afterword say` with the default settings, without speech; it has a seed of its own."""
    settings = load(None, [f"language={weights.language}"]).settings
    options = replace(
        generator_options(settings),
        max_sentences=100,
        max_new_tokens=1000,
        random_seed=1,
        checks=(),  # so long a text repeats itself; redraws would be measured
    )
    engine = InferenceEngine(weights.stored, device=device)
    generator = TextGenerator(engine, weights.vocabulary, options)
    seed = LANGUAGES[weights.language].training_seed

    def generate(_prompt: list[int], count: int) -> None:
        generated = 0

        def enough() -> bool:  # polled at every token
            nonlocal generated
            generated += 1
            return generated >= count

        engine.forget()
        while generated < count:  # a finished text is followed by another
            for _sentence in generator.continue_text(seed, enough):
                pass

    return generate


def measure(
    contenders: dict[str, Generate], prompt: list[int], tokens: int, rounds: int
) -> list[Speed]:
    """Run all contenders alternately; the first round is a warm-up."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in contenders}
    for n in range(rounds + 1):
        for name, generate in contenders.items():
            values = (*_timed(generate, prompt, 1), *_timed(generate, prompt, tokens))
            if n:
                found[name].append(values)
    speeds = []
    for name, values_of_rounds in found.items():
        first, first_cpu, whole, whole_cpu = map(
            statistics.median, zip(*values_of_rounds, strict=True)
        )
        speeds.append(
            Speed(name, tokens / whole, tokens / whole_cpu, 1000 * first, 1000 * first_cpu)
        )
    return speeds


def _timed(generate: Generate, prompt: list[int], count: int) -> tuple[float, float]:
    """Seconds of wall-clock time and of CPU time."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    generate(prompt, count)
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def weight_bytes(config: TransformerConfig, form: str, head_form: str) -> int:
    """Bytes of weights that are read for one token."""
    c = config
    rows = (c.heads + 2 * c.kv_heads) * c.head_width + c.width + 3 * c.hidden
    head = c.vocabulary_size * c.width
    weights = c.layers * rows * c.width * _BYTES_A_WEIGHT[form] + head * _BYTES_A_WEIGHT[head_form]
    return round(weights)


def read_bandwidth(size: int, device: torch.device) -> float:
    """Best bandwidth, in bytes a second, of a dot product that reads this many bytes repeatedly.

    Sizes that fit into the processor's cache are read faster than memory.
    """
    a, b = torch.ones(2, max(1, size // 8), device=device).unbind()
    times = []
    for _ in range(_READS):
        begin = time.perf_counter()
        torch.dot(a, b).item()
        times.append(time.perf_counter() - begin)
    return 2 * a.nbytes / min(times)


def bench(
    model: Transformer | StoredModel,
    device: torch.device,
    nanogpt: Path | None,
    rounds: int,
    tokens: int,
    prompt: int,
    weights: Weights | None = None,
    llama: Path | None = None,
) -> dict[str, Any]:
    """All figures of one shape, for JSON; `weights` adds "afterword say".

    `llama` is a folder for a file of llama.cpp's with these weights, which adds that one.
    """
    config = model.config
    before = resident_memory_mb()
    engine = InferenceEngine(model, device=device)
    contenders = {"afterword": afterword(engine)}
    return_freed_memory()
    memory = {"afterword": resident_memory_mb() - before}
    if weights and llama:
        path = llama / "weights.gguf"
        write_gguf(path, weights)
        before = resident_memory_mb()
        contenders["llama.cpp"] = LlamaCpp(path, config.context_length).generate
        memory["llama.cpp"] = resident_memory_mb() - before
    if weights:
        contenders["afterword say"] = as_said(weights, device)
    if theirs := hugging_face(config, device):
        contenders["hugging face"] = theirs
    if nanogpt:
        contenders["nanogpt"] = nano_gpt(config, nanogpt, device)
    ids = torch.randint(0, config.vocabulary_size, (prompt,)).tolist()
    speeds = measure(contenders, ids, tokens, rounds)
    size = weight_bytes(config, engine.weight_format, engine.head_format)
    limit = read_bandwidth(size, device) / size
    return {
        "shape": asdict(config),
        "form": engine.weight_format,
        "memory_mb": memory,
        "speeds": [asdict(speed) for speed in speeds],
        "times": _ratios(speeds),
        "weight_bytes_a_token": size,
        "bandwidth_limit_tokens_per_second": limit,
        "share_of_bandwidth_limit": speeds[0].tokens_per_second / limit,
        "share_of_bandwidth_limit_cpu": speeds[0].tokens_per_cpu_second / limit,
    }


def _ratios(speeds: Sequence[Speed]) -> dict[str, dict[str, float]]:
    """Speed of the first contender relative to each other one."""
    ours = speeds[0]
    return {
        s.name: {
            "clock": ours.tokens_per_second / s.tokens_per_second,
            "cpu": ours.tokens_per_cpu_second / s.tokens_per_cpu_second,
        }
        for s in speeds[1:]
    }


def describe(name: str, result: dict[str, Any]) -> str:
    """The figures of one shape as a table."""
    c = result["shape"]
    lines = [
        f"{name}: {c['vocabulary_size']} ids, {c['layers']} layers, {c['width']} wide, "
        f"context {c['context_length']}; afterword in {result['form']}",
        f"{'':16}{'tokens/s':>10}{'by CPU':>10}{'×':>8}{'by CPU':>8}{'first token':>14}{'CPU':>9}",
    ]
    for speed in result["speeds"]:
        times = result["times"].get(speed["name"], {"clock": 1.0, "cpu": 1.0})
        lines.append(
            f"  {speed['name']:14}{speed['tokens_per_second']:10.0f}"
            f"{speed['tokens_per_cpu_second']:10.0f}{times['clock']:8.1f}{times['cpu']:8.1f}"
            f"{speed['first_token_ms']:11.1f} ms{speed['first_token_cpu_ms']:6.1f} ms"
        )
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in result["memory_mb"].items())
    lines.append(f"  memory: {memory}")
    lines.append(
        f"  {result['weight_bytes_a_token'] / 1e6:.1f} MB of weights a token; reading them alone "
        f"would allow {result['bandwidth_limit_tokens_per_second']:.0f} tokens/s: "
        f"{result['share_of_bandwidth_limit']:.0%} reached, "
        f"{result['share_of_bandwidth_limit_cpu']:.0%} by CPU time"
    )
    return "\n".join(lines)


@click.command(context_settings={"show_default": True})
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=click.Choice([*SHAPES, WEIGHTS, LARGE]),
    default=[*SHAPES, WEIGHTS],
    help="Shape of the model; weights is that of the weights in use, large of those that "
    "`afterword weights fetch large` adds. Can be repeated.",
)
@click.option("--weights", help="Weights file.  [default: those in use]")
@click.option("--language", default="en", help="Language of the default weights.")
@click.option(
    "--nanogpt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="nanoGPT's model.py to compare with; it is executed.",
)
@click.option(
    "--llama-cpp",
    is_flag=True,
    help="Compare weights and large with llama.cpp (package xllamacpp) on the same weights.",
)
@click.option("--rounds", type=click.IntRange(1), default=5, help="Rounds, of which medians count.")
@click.option("--tokens", type=click.IntRange(2), default=128, help="New tokens in a round.")
@click.option("--prompt", type=click.IntRange(1), default=8, help="Tokens in the prompt.")
@click.option("--threads", type=click.IntRange(1), default=1, help="CPU threads.")
@click.option("--device", default="cpu", help="As torch names it: cpu, cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@report_errors
def main(
    shapes: tuple[str, ...],
    weights: str | None,
    language: str,
    threads: int,
    device: str,
    llama_cpp: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure how fast the model continues a text, against baselines of its shape."""
    torch.set_num_threads(threads)
    chosen = choose_device(device)
    if importlib.util.find_spec("transformers") is None:
        click.echo(f"Without Hugging Face: `{add_extra_command('bench')}` adds it.", err=True)
    results = {}
    for name in dict.fromkeys(shapes):
        wanted = weights or (LARGE if name == LARGE else None)
        in_use = None if name in SHAPES else load_weights(find_weights(language, wanted))
        model = in_use.stored if in_use else Transformer(SHAPES[name]).eval()
        if given["prompt"] + given["tokens"] > model.config.context_length:
            raise ConfigError(
                f"--prompt and --tokens exceed the context of {model.config.context_length} "
                f"tokens of the shape {name}; give fewer."
            )
        with tempfile.TemporaryDirectory() as folder:
            llama = Path(folder) if llama_cpp else None
            results[name] = bench(model, chosen, **given, weights=in_use, llama=llama)
        if not as_json:
            click.echo(describe(name, results[name]))
    about = machine(chosen)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "machine": about,
                    "given": {**given, "nanogpt": bool(given["nanogpt"])},
                    "shapes": results,
                }
            )
        )
    else:
        click.echo(", ".join(f"{key} {value}" for key, value in about.items()))
