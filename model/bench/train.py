"""Speed and quality of training: `python -m model.bench.train`, against nanoGPT.

All contenders have the same shape, texts and batches, and step alternately in one process. Each has
the same budget of CPU time, so that other load on the machine affects all of them alike; its
learning rate runs its whole schedule within that budget. Bits per byte compare the results,
whatever the vocabulary.

nanoGPT trains as its own train.py does on a CPU, by its README without torch.compile: fp32 (its
autocast is for GPUs), its AdamW (betas 0.9 and 0.95, weight decay 0.1), gradients clipped at 1,
linear warm-up over 2 % and cosine decay to a tenth. Freed memory is kept, as for ours, which its
train.py does not do. With --nanogpt-bf16 it also runs under its autocast for GPUs, as it never does
on a CPU.
"""

import json
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import click
import torch

from config.standard_streams import prepare_standard_streams
from model.bench.baselines import SHAPES, load_nano_gpt, machine
from model.command import report_errors
from model.data import corpus as corpora
from model.data.batches import Batches, render_pass
from model.device import choose_device
from model.evaluate.score import score
from model.memory import keep_freed_memory
from model.text.vocabulary import Vocabulary
from model.train.options import TrainOptions
from model.train.trainer import Trainer
from model.transformer import Transformer, TransformerConfig

_BATCH = 16
_NANO_GPT_RATE = 1e-3  # of its example for small models (config/train_shakespeare_char.py)
_SEED = 1


class Learner(Protocol):
    """A contender."""

    def step(self, progress: float) -> None:
        """Take one step; `progress` is the used part of the budget, 0 to 1."""

    def bits_per_byte(self) -> float:
        """Score of the held-out texts."""


@dataclass(frozen=True)
class Learned:
    """The result of a contender.

    Attributes:
        tokens_per_cpu_second: ids of its own vocabulary.
        bytes_per_cpu_second: bytes of text, comparable between vocabularies.
        bits_per_byte: of the held-out texts at the end.
    """

    name: str
    steps: int
    tokens_per_cpu_second: float
    bytes_per_cpu_second: float
    bits_per_byte: float


class _Ours:
    """Our trainer, driven step by step."""

    def __init__(
        self, corpus: corpora.Corpus, vocabulary: Vocabulary, folder: Path, optimizer: str
    ) -> None:
        model = Transformer(_shape(vocabulary))
        self._trainer = Trainer(_options(folder, optimizer), corpus, vocabulary, model, None)

    def step(self, progress: float) -> None:
        self._trainer.train_step(progress)

    def bits_per_byte(self) -> float:
        t = self._trainer
        t.model.eval()
        return score(t.model, t.vocabulary, t.corpus.held_out, t.device).bits_per_byte


class _NanoGpt:
    """nanoGPT's model, fed from the same batches."""

    def __init__(
        self, corpus: corpora.Corpus, vocabulary: Vocabulary, path: Path, rate: float, bf16: bool
    ) -> None:
        self._corpus, self._vocabulary = corpus, vocabulary
        self._rate, self._bf16 = rate, bf16
        self.config = _shape(vocabulary)
        model: Any = load_nano_gpt(self.config, path, torch.device("cpu"))
        self._model = model
        self._optimizer = model.configure_optimizers(0.1, rate, (0.9, 0.95), "cpu")
        self._batches = Batches(
            lambda n: render_pass(corpus, vocabulary, 0.0, _SEED, n),
            _BATCH,
            self.config.context_length,
            _SEED,
        )

    def step(self, progress: float) -> None:
        for group in self._optimizer.param_groups:
            falling = 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, progress)))
            group["lr"] = self._rate * min(progress / 0.02 + 0.05, falling)
        rows = torch.from_numpy(self._batches.next())  # (B, T + 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            _, loss = self._model(rows[:, :-1], rows[:, 1:].contiguous())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def bits_per_byte(self) -> float:
        self._model.eval()
        held_out, device = self._corpus.held_out, torch.device("cpu")
        return score(self, self._vocabulary, held_out, device).bits_per_byte

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (1, T, V), as `score` wants them."""
        return self._model(ids, ids)[0]  # type: ignore[no-any-return]


def _shape(vocabulary: Vocabulary) -> TransformerConfig:
    return replace(SHAPES["12k"], vocabulary_size=vocabulary.size)


def _options(folder: Path, optimizer: str) -> TrainOptions:
    """The defaults of `afterword train`, without a length."""
    return TrainOptions(
        corpus=(),
        out=folder,
        batch=_BATCH,
        spoken_openings=0.0,
        seed=_SEED,
        optimizer=optimizer,
    )


def compare(learners: Mapping[str, Learner], cpu_minutes: float) -> dict[str, tuple[int, float]]:
    """Step all learners alternately until their budgets end; number and CPU seconds of steps.

    The seconds are medians, so that the first steps, which allocate buffers, hardly count.
    """
    budget = 60 * cpu_minutes
    used = dict.fromkeys(learners, 0.0)
    times: dict[str, list[float]] = {name: [] for name in learners}
    while under_way := [name for name in learners if used[name] < budget]:
        name = min(under_way, key=lambda n: used[n])
        begin = time.process_time()
        learners[name].step(used[name] / budget)
        times[name].append(time.process_time() - begin)
        used[name] += times[name][-1]
    return {name: (len(t), statistics.median(t)) for name, t in times.items()}


def bench(
    corpus: corpora.Corpus,
    nanogpt: Path | None,
    cpu_minutes: float,
    folder: Path,
    optimizer: str = "auto",
    nanogpt_rate: float = _NANO_GPT_RATE,
    nanogpt_bf16: bool = False,
) -> list[Learned]:
    """Train all contenders on the corpus and score them."""
    compact = corpora.choose_vocabulary(corpus, Vocabulary.full(), 8)
    learners: dict[str, Learner] = {"afterword": _Ours(corpus, compact, folder, optimizer)}
    vocabularies = {"afterword": compact}
    if nanogpt:
        vocabularies |= {"nanogpt, same ids": compact, "nanogpt, all ids": Vocabulary.full()}
        if nanogpt_bf16:
            vocabularies["nanogpt, bf16"] = compact
        for name in list(vocabularies)[1:]:
            bf16 = name == "nanogpt, bf16"
            learners[name] = _NanoGpt(corpus, vocabularies[name], nanogpt, nanogpt_rate, bf16)
    found = []
    for name, (steps, seconds) in compare(learners, cpu_minutes).items():
        tokens = _BATCH * SHAPES["12k"].context_length / seconds
        size = tokens * _bytes_a_token(corpus, vocabularies[name])
        found.append(Learned(name, steps, tokens, size, learners[name].bits_per_byte()))
    return found


def _bytes_a_token(corpus: corpora.Corpus, vocabulary: Vocabulary) -> float:
    text = "".join(corpus.held_out)
    return len(text.encode()) / len(vocabulary.encode(text))


def describe(found: list[Learned]) -> str:
    """The figures as a table."""
    lines = [f"{'':20}{'tokens/CPU s':>14}{'×':>8}{'steps':>8}{'bits/byte':>12}"]
    for one in found:
        times = found[0].tokens_per_cpu_second / one.tokens_per_cpu_second
        lines.append(
            f"{one.name:20}{one.tokens_per_cpu_second:14.0f}{times:8.2f}{one.steps:8}"
            f"{one.bits_per_byte:12.4f}"
        )
    return "\n".join(lines)


@click.command(context_settings={"show_default": True})
@click.option(
    "--corpus",
    "files",
    multiple=True,
    required=True,
    metavar="FILE[@SHARE]",
    help="As for `afterword train`.",
)
@click.option(
    "--nanogpt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="nanoGPT's model.py to compare with; it is executed.",
)
@click.option(
    "--nanogpt-rate",
    type=click.FloatRange(0, min_open=True),
    default=_NANO_GPT_RATE,
    help="nanoGPT's peak learning rate; the default is that of its example for small models.",
)
@click.option("--nanogpt-bf16", is_flag=True, help="Also run nanoGPT in bf16, with the same ids.")
@click.option(
    "--optimizer",
    type=click.Choice(["auto", "adamw", "muon"]),
    default="auto",
    help="Our optimizer, as for `afterword train`; adamw takes more steps and learns less.",
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), default=10.0, help="CPU minutes each."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@report_errors
def main(
    files: tuple[str, ...], nanogpt: Path | None, minutes: float, as_json: bool, **given: Any
) -> None:
    """Measure how fast the trainer learns on one CPU thread, against nanoGPT."""
    keep_freed_memory()
    torch.set_num_threads(1)
    corpus = corpora.load_corpus([corpora.parse_corpus_file(file) for file in files], _SEED)
    with tempfile.TemporaryDirectory() as folder:
        found = bench(corpus, nanogpt, minutes, Path(folder), **given)
    about = machine(choose_device("cpu"))
    if as_json:
        figures = [asdict(one) for one in found]
        click.echo(json.dumps({"machine": about, "cpu_minutes": minutes, "learners": figures}))
    else:
        click.echo(describe(found))
        click.echo(", ".join(f"{key} {value}" for key, value in about.items()))


if __name__ == "__main__":
    prepare_standard_streams()
    main()
