"""`python -m model.train --corpus FILE… --out FOLDER`: train a model on texts, or go on with it.

Writes into FOLDER: `<language>.safetensors`, the best weights so far, for use; `last.pt`, all that
is needed to go on; `log.jsonl`, one line for each step and validation.
"""

import contextlib
import ctypes
import json
import math
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from tqdm import tqdm

from config.errors import OutputError, WeightsError
from model import corpus as corpora
from model.checkpoint import (
    Weights,
    build_model,
    load_state,
    load_weights,
    save_state,
    save_weights,
)
from model.command import report_errors
from model.device import choose_device, faster_with_bfloat16
from model.evaluate import score
from model.generator import GeneratorOptions, TextGenerator
from model.llama2c import start_from_story_model
from model.sampler import SamplingOptions
from model.transformer import Transformer, TransformerConfig
from model.vocabulary import Vocabulary

PRESETS = {  # width, layers, heads, hidden
    "tiny": (64, 2, 2, 192),
    "small": (192, 4, 4, 512),
    "story": (288, 6, 6, 768),
    "large": (512, 8, 8, 1408),
}
SAMPLE_SEEDS = {"en": "the old sailor", "zh": "春"}
DEFAULT_MINUTES = 30.0

_WARM_UP = 0.02  # part of the training in which the learning rate rises
_FRESH_RATE, _CONTINUED_RATE = 2e-3, 1e-4
_WEIGHT_DECAY = 0.1  # of the matrices; rare rows of the embedding would only shrink
_NEW_EMBEDDING_SCALE = 4.0  # a body that has learned wants small steps, its new embedding not
_BETAS = (0.9, 0.95)
_GRADIENT_NORM = 1.0
_LOSS_ROWS = 512  # tokens whose logits exist at a time


@dataclass(frozen=True)
class TrainOptions:
    """What the command was asked for; see its --help.

    Exactly one of `steps` and `minutes` is given.
    """

    corpus: tuple[corpora.CorpusFile, ...]
    out: Path
    init_from: Path | None
    resume: bool
    minutes: float | None
    steps: int | None
    preset: str | None
    context: int
    language: str
    licence: str
    provenance: str
    vocabulary_minimum: int | None  # none keeps all of cl100k_base
    spoken_openings: float
    batch: int
    learning_rate: float | None
    validate_every: int
    precision: str
    device: str
    seed: int

    @property
    def weights_path(self) -> Path:
        """Where the best weights go."""
        return self.out if self._out_is_file else self.out / f"{self.language}.safetensors"

    @property
    def folder(self) -> Path:
        """Where state and log go."""
        return self.out.parent if self._out_is_file else self.out

    @property
    def state_path(self) -> Path:
        """Where all that is needed to go on is kept."""
        return self.folder / "last.pt"

    @property
    def _out_is_file(self) -> bool:
        return self.out.suffix == ".safetensors"


class Trainer:
    """One training run: the model, its optimizer, and how far it is.

    Attributes:
        step: optimizer steps done.
        seconds: training time so far, those of earlier starts included.
        best: lowest bits per byte of the held-out texts so far.
    """

    def __init__(
        self,
        options: TrainOptions,
        corpus: corpora.Corpus,
        vocabulary: Vocabulary,
        model: Transformer,
        state: dict[str, Any] | None,
    ) -> None:
        self.options = options
        self.vocabulary = vocabulary
        self.corpus = corpus
        self.device = choose_device(options.device)
        self.model = model.to(self.device).train()
        scale = _NEW_EMBEDDING_SCALE if options.init_from else 1.0
        self.optimizer = _make_optimizer(self.model, scale)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        if state:
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds, self.best = state["step"], state["seconds"], state["best"]
        self.rate = options.learning_rate or (_CONTINUED_RATE if options.init_from else _FRESH_RATE)
        number, position = state["data"] if state else (0, 0)
        self.batches = corpora.Batches(
            lambda n: corpora.render_pass(
                corpus, vocabulary, options.spoken_openings, options.seed, n
            ),
            options.batch,
            model.config.context_length,
            options.seed,
            number,
            position,
        )
        bf16 = options.precision == "auto" and faster_with_bfloat16(self.device)
        self.bfloat16 = bf16 or options.precision == "bf16"
        self._resumed_at = time.monotonic() - self.seconds

    def progress(self) -> float:
        """How much of the training is done, 0 to 1."""
        if self.options.steps is not None:
            return min(1.0, self.step / self.options.steps)
        assert self.options.minutes is not None  # noqa: S101 - see TrainOptions
        return min(1.0, (time.monotonic() - self._resumed_at) / (60 * self.options.minutes))

    def train_step(self) -> dict[str, float]:
        """One optimizer step; returns what to log of it."""
        begin = time.perf_counter()
        rate = self.rate * rate_factor(self.progress())
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        rows = torch.from_numpy(self.batches.next()).to(self.device)  # (B, T + 1)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = batch_loss(self.model, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), _GRADIENT_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        self.seconds = time.monotonic() - self._resumed_at
        return {
            "step": self.step,
            "loss": loss.item(),
            "rate": rate,
            "gradient_norm": norm.item(),
            "tokens_per_second": (rows.numel() - len(rows)) / (time.perf_counter() - begin),
            "seconds": self.seconds,
        }

    def validate(self) -> dict[str, Any]:
        """Score the held-out texts, keep the weights if they are the best; what to log of it."""
        self.model.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            result = score(self.model, self.vocabulary, self.corpus.held_out, self.device)
        bits = result.bits_per_byte
        if bits < self.best:
            self.best = bits
            save_weights(self.options.weights_path, self.weights())
        sample = self._sample()
        self.model.train()
        self.seconds = time.monotonic() - self._resumed_at
        return {
            "step": self.step,
            "bits_per_byte": bits,
            "best": self.best,
            "seconds": self.seconds,
            "pass": self.batches.number,
            "peak_memory_mb": peak_memory_mb(),
            "sample": sample,
        }

    def _sample(self) -> str:
        """A seed and its continuation, the same seed each time."""
        seed = SAMPLE_SEEDS[self.options.language]
        options = GeneratorOptions(SamplingOptions(), 3, 80, random_seed=self.options.seed)
        generator = TextGenerator(self.weights(), options, self.device)
        return " ".join([seed, *generator.continue_text(seed, lambda: False)])

    def weights(self) -> Weights:
        """The model as it is, for use."""
        o = self.options
        return Weights(self.model, self.vocabulary, o.language, o.licence, o.provenance)

    def save(self) -> None:
        """Write all that is needed to go on exactly from here."""
        state = {
            "config": asdict(self.model.config),
            "vocabulary": torch.from_numpy(self.vocabulary.kept.astype("int32")),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "rate": self.rate,
            "data": [self.batches.number, self.batches.position],
            "corpus": self.corpus.fingerprint,
            "language": self.options.language,
        }
        save_state(self.options.state_path, state)


def batch_loss(model: Transformer, rows: Tensor) -> Tensor:
    """Mean negative log likelihood, in nats, of rows[:, 1:]; rows is (B, T + 1)."""
    states = model.states(rows[:, :-1]).flatten(0, 1)  # (B·T, C)
    targets = rows[:, 1:].flatten()  # (B·T,)
    head = model.embedding.weight  # (V, C)
    return LinearCrossEntropy.apply(states, head, targets)  # type: ignore[no-any-return, no-untyped-call]


class LinearCrossEntropy(torch.autograd.Function):
    """Head and mean cross entropy in one, a few rows at a time.

    All logits of a batch at once would be its largest tensor by far, written and read again and
    again. The gradients are computed on the way forward, while a part's logits are at hand.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        """The loss of states (N, C) under head (V, C) and targets (N,)."""
        dtype = torch.get_autocast_dtype(states.device.type)
        dtype = dtype if torch.is_autocast_enabled(states.device.type) else states.dtype
        with torch.autocast(states.device.type, enabled=False):
            x, weight = states.to(dtype), head.to(dtype)
            x_gradient, head_gradient = torch.empty_like(x), torch.zeros_like(head)
            loss = torch.zeros((), device=x.device)
            for begin in range(0, len(x), _LOSS_ROWS):
                part = slice(begin, begin + _LOSS_ROWS)
                logits = (x[part] @ weight.T).float()  # (R, V)
                at = targets[part, None]  # (R, 1)
                log_sum = logits.logsumexp(dim=-1, keepdim=True)  # (R, 1)
                loss += (log_sum - logits.gather(1, at)).sum()
                gradient = logits.sub_(log_sum).exp_()  # (R, V) probabilities
                gradient.scatter_add_(1, at, torch.full_like(log_sum, -1.0))
                gradient = gradient.to(dtype)
                x_gradient[part] = gradient @ weight
                head_gradient += gradient.T @ x[part]
        ctx.save_for_backward(x_gradient.to(states.dtype), head_gradient)
        return loss / len(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        """Hand on what `forward` has computed."""
        x_gradient, head_gradient = ctx.saved_tensors
        scale = gradients[0] / len(x_gradient)
        return x_gradient * scale, head_gradient * scale, None


def rate_factor(progress: float) -> float:
    """The learning rate as a part of its peak: up within the warm-up, then straight to 0.

    Straight to zero was the best of the simple schedules in Bergsma et al. 2025.
    """
    return min(progress / _WARM_UP + 0.05, (1 - progress) / (1 - _WARM_UP), 1.0)


def _make_optimizer(model: Transformer, embedding_scale: float) -> torch.optim.AdamW:
    """AdamW; only the matrices decay, and the embedding may learn at its own rate."""
    named = list(model.named_parameters())
    embedding = [w for n, w in named if "embedding" in n]
    matrices = [w for n, w in named if w.dim() == 2 and "embedding" not in n]
    norms = [w for _, w in named if w.dim() < 2]
    groups = [
        {"params": embedding, "weight_decay": 0.0, "rate_scale": embedding_scale},
        {"params": matrices, "weight_decay": _WEIGHT_DECAY, "rate_scale": 1.0},
        {"params": norms, "weight_decay": 0.0, "rate_scale": 1.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=_BETAS, fused=True)


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory for the next step instead of giving it back.

    Each step frees and takes hundreds of megabytes; without this, new pages cost a third of its
    time (measured on Linux with glibc). Where there is no mallopt, nothing changes.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def peak_memory_mb() -> int:
    """The most memory this process has had at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def prepare(options: TrainOptions) -> Trainer:
    """Read what is asked for and build the trainer.

    Raises:
        InputError: a corpus cannot be used.
        WeightsError: what to start from cannot be used or does not fit.
        OutputError: the folder to write to cannot be written.
    """
    _check_writable(options.folder)
    state = load_state(options.state_path) if options.resume else None
    corpus = corpora.load_corpus(options.corpus, options.seed)
    if state:
        vocabulary = Vocabulary(state["vocabulary"].tolist())
        model = _resumed_model(state, options)
        if state["corpus"] != corpus.fingerprint:
            click.echo("The corpus is not the one that training began with; going on with it.")
    else:
        vocabulary = _choose_vocabulary(options, corpus)
        model = _fresh_model(options, vocabulary)
    return Trainer(options, corpus, vocabulary, model, state)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("a"):
            pass
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be written: {error.strerror}; choose another --out."
        ) from error


def _choose_vocabulary(options: TrainOptions, corpus: corpora.Corpus) -> Vocabulary:
    if options.init_from and options.init_from.suffix == ".safetensors":
        return load_weights(options.init_from).vocabulary
    if options.vocabulary_minimum is None:
        return Vocabulary.full()
    return corpora.choose_vocabulary(corpus, options.vocabulary_minimum)


def _fresh_model(options: TrainOptions, vocabulary: Vocabulary) -> Transformer:
    """A model with random weights, or with those it is to start from."""
    torch.manual_seed(options.seed)
    if options.init_from is None:
        width, layers, heads, hidden = PRESETS[options.preset or "small"]
        return Transformer(
            TransformerConfig(vocabulary.size, options.context, layers, heads, width, hidden)
        )
    if options.init_from.suffix == ".safetensors":
        model = load_weights(options.init_from).model
    else:
        model = start_from_story_model(options.init_from, vocabulary)
    _refuse_other_shape(options, model.config, options.init_from)
    return model


def _resumed_model(state: dict[str, Any], options: TrainOptions) -> Transformer:
    config = TransformerConfig(**state["config"])
    if state["language"] != options.language:
        raise WeightsError(
            f'{options.state_path} is of the language "{state["language"]}", '
            f'not "{options.language}"; choose another --out.'
        )
    _refuse_other_shape(options, config, options.state_path)
    return build_model(config, state["model"], options.state_path)


def _refuse_other_shape(options: TrainOptions, config: TransformerConfig, path: Path) -> None:
    shape = (config.width, config.layers, config.heads, config.hidden)
    if options.preset is not None and shape != PRESETS[options.preset]:
        width, layers, heads, hidden = shape
        raise WeightsError(
            f"{path} is {width} wide with {layers} layers, {heads} heads and {hidden} hidden, "
            f"not the preset {options.preset}; leave out --preset."
        )


def train(trainer: Trainer) -> bool:
    """Train to the end of the steps or minutes; False if the user stopped it before."""
    options = trainer.options
    with (
        (options.folder / "log.jsonl").open("a", buffering=1) as log,
        tqdm(total=100.0, initial=100 * trainer.progress(), unit="%", bar_format=_BAR) as bar,
        _stop_requested() as stop,
    ):

        def record(values: dict[str, Any]) -> None:
            log.write(json.dumps(values) + "\n")

        record({"start": _describe(trainer)})
        while trainer.progress() < 1 and not stop:
            values = trainer.train_step()
            record(values)
            bar.n = round(100 * trainer.progress(), 2)
            bar.set_postfix_str(
                f"loss {values['loss']:.3f}, {values['tokens_per_second']:.0f} tokens/s, "
                f"best {trainer.best:.3f} bits/byte"
            )
            if trainer.step % options.validate_every == 0 or trainer.progress() >= 1:
                found = trainer.validate()
                record(found)
                trainer.save()
                bar.write(f"Step {trainer.step}: {found['bits_per_byte']:.4f} bits/byte held out")
                bar.write(f"    {found['sample']}")
    trainer.save()
    return trainer.progress() >= 1


_BAR = "{percentage:5.1f}% |{bar}| {elapsed} < {remaining}, {postfix}"


@contextlib.contextmanager
def _stop_requested() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM comes; the step in hand is finished first."""
    received: list[int] = []
    previous = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, lambda n, _: received.append(n))
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _describe(trainer: Trainer) -> dict[str, Any]:
    """What the run is, for the log and the user."""
    return {
        **asdict(trainer.model.config),
        "parameters": sum(w.numel() for w in trainer.model.parameters()),
        "corpus_tokens": sum(len(s.tokens) for s in trainer.corpus.sources),
        "held_out": len(trainer.corpus.held_out),
        "batch": trainer.options.batch,
        "learning_rate": trainer.rate,
        "precision": "bf16" if trainer.bfloat16 else "fp32",
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "step": trainer.step,
        "command": sys.argv,
    }


def _corpus_files(_c: click.Context, _p: click.Parameter, values: tuple[str, ...]) -> Any:
    return tuple(corpora.parse_corpus_file(value) for value in values)


def _minimum(_c: click.Context, _p: click.Parameter, value: str) -> int | None:
    if value == "full":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter("give a number from 1 on, or full")
    return int(value)


@click.command(context_settings={"show_default": True})
@click.option(
    "--corpus",
    "corpus",
    multiple=True,
    required=True,
    metavar="FILE[@SHARE]",
    callback=_corpus_files,
    help="Text in UTF-8 (.txt, .md, .txt.xz), documents parted by lines <|endoftext|>; with @0.2 "
    "each pass draws a fifth of the documents. May be given several times.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    help="Start from these weights: .safetensors, or a llama2.c model with its tokenizer.",
)
@click.option("--resume", is_flag=True, help="Go on where the training in --out was left.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Time to take.")
@click.option("--steps", type=click.IntRange(1), help="Steps to take, instead of --minutes.")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Size; small, or as --init-from.")
@click.option("--context", type=click.IntRange(8, 8192), default=256, help="Tokens it can see.")
@click.option("--language", type=click.Choice(["en", "zh"]), default="en")
@click.option("--licence", default="unknown", help="Of the weights, written into their file.")
@click.option("--provenance", default="", help="Where they come from, written into their file.")
@click.option(
    "--vocabulary-min-count",
    "vocabulary_minimum",
    default="8",
    callback=_minimum,
    help="Keep tokens seen so often in the corpus; full keeps all 100,257.",
)
@click.option(
    "--spoken-openings",
    type=click.FloatRange(0, 1),
    help="Part of the documents whose opening looks like a spoken seed.  [default: 0.35; zh: 0]",
)
@click.option("--batch", type=click.IntRange(1), default=16, help="Sequences in a step.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Its peak.")
@click.option("--validate-every", type=click.IntRange(1), default=100, help="Steps.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
@click.option("--device", default="auto")
@click.option("--threads", type=click.IntRange(1), help="Default: torch's choice.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of all that is random.")
@report_errors
def main(threads: int | None, spoken_openings: float | None, **given: Any) -> None:
    """Train a model on texts, or go on with it."""
    if given["steps"] is not None and given["minutes"] is not None:
        raise click.UsageError("Give --steps or --minutes, not both.")
    if given["steps"] is None and given["minutes"] is None:
        given["minutes"] = DEFAULT_MINUTES
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    if spoken_openings is None:
        spoken_openings = 0.35 if given["language"] == "en" else 0.0
    options = TrainOptions(spoken_openings=spoken_openings, **given)
    if options.state_path.exists() and not options.resume:
        raise OutputError(
            f"{options.folder} holds a training already; add --resume to go on with it, or choose "
            "another --out."
        )
    trainer = prepare(options)
    about = _describe(trainer)
    click.echo(
        f"Training {about['parameters'] / 1e6:.1f} million parameters ({about['vocabulary_size']} "
        f"tokens in the vocabulary) on {about['corpus_tokens'] / 1e6:.2f} million tokens, "
        f"{about['precision']} on {about['device']}, {about['threads']} threads, "
        + (f"{options.steps} steps." if options.steps else f"{options.minutes:g} minutes.")
    )
    if train(trainer):
        click.echo(
            f"Done: {trainer.best:.4f} bits/byte on held-out text; the weights are in "
            f"{options.weights_path}."
        )
    else:
        click.echo(f"Stopped after step {trainer.step}; the same command with --resume goes on.")


if __name__ == "__main__":
    main()
