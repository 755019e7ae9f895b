"""How fast the model continues a text: `python -m model.bench`, against Hugging Face and nanoGPT.

All contenders have the same shape, prompt and sampling (temperature 0.8, top-k 200) and random
weights: speed does not depend on them. They take turns, round by round, so that whatever else runs
on the machine hits all of them; medians count. The processor time is given beside the time on the
clock: on a busy machine it is the fairer of the two.

"afterword" is decoder and sampler alone, as comparable with the others as can be. For the weights
in use there is "afterword say" too: a seed's text to whole sentences, as `afterword say` makes
them, with the sampling of the default settings.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch

from config.errors import ConfigError, InputError
from config.load import load
from model.checkpoints.store import find_weights
from model.checkpoints.weights_file import Weights, load_weights
from model.command import report_errors
from model.device import choose_device
from model.inference.engine import InferenceEngine
from model.inference.generator import GeneratorOptions, TextGenerator
from model.inference.sampler import SamplingOptions, sample
from model.transformer import Transformer, TransformerConfig

SHAPES = {
    "12k": TransformerConfig(12_288, 256, layers=6, heads=6, width=384, hidden=1024),
    "100k": TransformerConfig(100_277, 256, layers=6, heads=6, width=384, hidden=1024),
}
WEIGHTS = "weights"  # the shape of the weights in use

_SAMPLING = SamplingOptions(temperature=0.8, top_k=200, top_p=1.0, repetition_penalty=1.0)
_BYTES = {"int8": 1, "bfloat16": 2, "float32": 4}
_READS = 20
_SAID = {"en": "the old sailor", "zh": "春"}

Generate = Callable[[list[int], int], object]
"""Continues ids by so many tokens."""


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds.

    Attributes:
        name: who.
        tokens_per_second: new tokens in a second on the clock, the reading of the prompt included.
        tokens_per_cpu_second: the same in a second of processor time.
        first_token_ms: from the prompt to the first new token, on the clock.
        first_token_cpu_ms: the same in processor time.
    """

    name: str
    tokens_per_second: float
    tokens_per_cpu_second: float
    first_token_ms: float
    first_token_cpu_ms: float


def afterword(model: Transformer) -> tuple[str, Generate]:
    """Our decoder and sampler, and the form its weights have."""
    decoder = InferenceEngine(model)
    generator = torch.Generator().manual_seed(1)

    def generate(prompt: list[int], count: int) -> None:
        logits = decoder.prefill(prompt)
        for left in reversed(range(count)):
            token = sample(logits, (), _SAMPLING, generator)
            if left:
                logits = decoder.step(token)

    return decoder.weight_format, generate


def as_said(weights: Weights, device: torch.device) -> Generate:
    """What `afterword say` does with the default settings, but for speech; on its own seed."""
    settings = load(None, [f"language={weights.language}"]).settings.model
    sampling = SamplingOptions(
        settings.temperature,
        settings.top_k,
        settings.top_p,
        settings.repetition_penalty,
        settings.min_p,
    )
    decoder = InferenceEngine(weights.model.to(device))
    options = GeneratorOptions(sampling, max_sentences=100, max_new_tokens=1000, random_seed=1)
    generator = TextGenerator(decoder, weights.vocabulary, options)
    seed = _SAID[weights.language]

    def generate(_prompt: list[int], count: int) -> None:
        come = 0

        def enough() -> bool:  # asked at every token
            nonlocal come
            come += 1
            return come >= count

        while come < count:  # a text that has ended is followed by another
            for _sentence in generator.continue_text(seed, enough):
                pass

    return generate


def hugging_face(config: TransformerConfig, device: torch.device) -> Generate | None:
    """`generate` of transformers' Llama with its cache; none where it is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
    from transformers import LlamaConfig, LlamaForCausalLM

    llama = LlamaConfig(
        vocab_size=config.vocabulary_size,
        hidden_size=config.width,
        intermediate_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.context_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(llama).to(device).eval()

    def generate(prompt: list[int], count: int) -> object:
        ids = torch.tensor([prompt], device=device)
        return model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=_SAMPLING.temperature,
            top_k=_SAMPLING.top_k,
            max_new_tokens=count,
            min_new_tokens=count,
            use_cache=True,
        )

    return generate


def load_nano_gpt(config: TransformerConfig, path: Path, device: torch.device) -> torch.nn.Module:
    """A model of this shape out of nanoGPT's model.py, which is executed.

    Raises:
        InputError: the file is no such module.
    """
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    try:
        if spec is None or spec.loader is None:
            raise ImportError(path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look themselves up there
        spec.loader.exec_module(module)
        shape = module.GPTConfig(
            block_size=config.context_length,
            vocab_size=config.vocabulary_size,
            n_layer=config.layers,
            n_head=config.heads,
            n_embd=config.width,
            dropout=0.0,
            bias=False,
        )
        with contextlib.redirect_stdout(sys.stderr):  # it prints its size
            return module.GPT(shape).to(device)  # type: ignore[no-any-return]
    except (OSError, ImportError, SyntaxError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is not nanoGPT's model.py: {error}.") from error


def nano_gpt(config: TransformerConfig, path: Path, device: torch.device) -> Generate:
    """`generate` of nanoGPT's model.py, which is executed.

    Raises:
        InputError: the file is no such module.
    """
    model: Any = load_nano_gpt(config, path, device).eval()

    def generate(prompt: list[int], count: int) -> None:
        ids = torch.tensor([prompt], device=device)
        model.generate(ids, count, temperature=_SAMPLING.temperature, top_k=_SAMPLING.top_k)

    return generate


def measure(
    contenders: dict[str, Generate], prompt: list[int], tokens: int, rounds: int
) -> list[Speed]:
    """Let all contenders take turns, after one round that does not count."""
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
    """Seconds on the clock and of processor time."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    generate(prompt, count)
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def weight_bytes(config: TransformerConfig, form: str) -> int:
    """What one token reads of the weights."""
    c = config
    matrices = c.layers * (4 * c.width**2 + 3 * c.width * c.hidden)
    return (matrices + c.vocabulary_size * c.width) * _BYTES[form]


def read_bandwidth(size: int, device: torch.device) -> float:
    """Bytes a second at which a product reads so many bytes again and again, at its best.

    What fits into the processor's cache is read faster than memory is.
    """
    a, b = torch.ones(2, max(1, size // 8), device=device).unbind()
    times = []
    for _ in range(_READS):
        begin = time.perf_counter()
        torch.dot(a, b).item()
        times.append(time.perf_counter() - begin)
    return 2 * a.nbytes / min(times)


def bench(
    model: Transformer,
    device: torch.device,
    nanogpt: Path | None,
    rounds: int,
    tokens: int,
    prompt: int,
    weights: Weights | None = None,
) -> dict[str, Any]:
    """All figures of one shape, for JSON; those of `as_said` too where the model's weights are."""
    config = model.config
    form, ours = afterword(model.to(device))
    contenders = {"afterword": ours}
    if weights:
        contenders["afterword say"] = as_said(weights, device)
    if llama := hugging_face(config, device):
        contenders["hugging face"] = llama
    if nanogpt:
        contenders["nanogpt"] = nano_gpt(config, nanogpt, device)
    ids = torch.randint(0, config.vocabulary_size, (prompt,)).tolist()
    speeds = measure(contenders, ids, tokens, rounds)
    size = weight_bytes(config, form)
    limit = read_bandwidth(size, device) / size
    return {
        "shape": asdict(config),
        "form": form,
        "speeds": [asdict(speed) for speed in speeds],
        "times": _ratios(speeds),
        "weight_bytes_a_token": size,
        "bandwidth_limit_tokens_per_second": limit,
        "share_of_bandwidth_limit": speeds[0].tokens_per_second / limit,
        "share_of_bandwidth_limit_cpu": speeds[0].tokens_per_cpu_second / limit,
    }


def _ratios(speeds: Sequence[Speed]) -> dict[str, dict[str, float]]:
    """How many times as fast as each other one the first is."""
    ours = speeds[0]
    return {
        s.name: {
            "clock": ours.tokens_per_second / s.tokens_per_second,
            "cpu": ours.tokens_per_cpu_second / s.tokens_per_cpu_second,
        }
        for s in speeds[1:]
    }


def describe(name: str, result: dict[str, Any]) -> str:
    """The figures of one shape as lines for people."""
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
    lines.append(
        f"  {result['weight_bytes_a_token'] / 1e6:.1f} MB of weights a token; reading them alone "
        f"would allow {result['bandwidth_limit_tokens_per_second']:.0f} tokens/s: "
        f"{result['share_of_bandwidth_limit']:.0%} reached, "
        f"{result['share_of_bandwidth_limit_cpu']:.0%} by CPU time"
    )
    return "\n".join(lines)


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {"torch": str(torch.__version__)}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["transformers"] = importlib.metadata.version("transformers")
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {
        "device": str(device),
        "processor": name,
        "threads": torch.get_num_threads(),
        **versions,
    }


@click.command(context_settings={"show_default": True})
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    type=click.Choice([*SHAPES, WEIGHTS]),
    default=[*SHAPES, WEIGHTS],
    help="Which; weights is the shape of the weights in use. Can be given again.",
)
@click.option("--weights", help="Weights file; default: those that afterword would use.")
@click.option("--language", default="en", help="Whose default weights.")
@click.option(
    "--nanogpt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="nanoGPT's model.py, to compare with; it is executed.",
)
@click.option("--rounds", type=click.IntRange(1), default=5)
@click.option("--tokens", type=click.IntRange(2), default=128, help="New ones in a round.")
@click.option("--prompt", type=click.IntRange(1), default=8, help="Tokens in the prompt.")
@click.option("--threads", type=click.IntRange(1), default=1)
@click.option("--device", default="cpu")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@report_errors
def main(
    shapes: tuple[str, ...],
    weights: str | None,
    language: str,
    threads: int,
    device: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure how fast the model continues a text, and how fast others of its shape do."""
    torch.set_num_threads(threads)
    chosen = choose_device(device)
    if importlib.util.find_spec("transformers") is None:
        click.echo('Without Hugging Face: pip install "afterword[bench]" adds it.', err=True)
    results = {}
    for name in dict.fromkeys(shapes):
        in_use = load_weights(find_weights(language, weights)) if name == WEIGHTS else None
        model = in_use.model if in_use else Transformer(SHAPES[name]).eval()
        if given["prompt"] + given["tokens"] > model.config.context_length:
            raise ConfigError(
                f"--prompt and --tokens exceed the context of {model.config.context_length} "
                f"tokens of the shape {name}; give fewer."
            )
        results[name] = bench(model, chosen, **given, weights=in_use)
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


if __name__ == "__main__":
    main()
