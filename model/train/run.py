"""`python -m model.train --corpus FILE… --out FOLDER`: train a model on texts, or go on with it.

Without files and folder it refreshes the weights in use from the user's own texts
(model.train.refresh).
Writes into FOLDER: `<language>.safetensors`, the best weights so far, for use; `last.pt`, all that
is needed to go on; `log.jsonl`, one line for each step and validation. Under
`torchrun --nproc_per_node=N -m model.train …`, N processes each take a batch of every step.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Never

import click
import torch
from tqdm import tqdm

from config.errors import OutputError, WeightsError
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import LARGEST_CONTEXT, build_model, load_weights
from model.command import report_errors
from model.data import corpus as corpora
from model.memory import keep_freed_memory
from model.teacher.llama2c import shared_ids, start_from_story_model
from model.text.vocabulary import Vocabulary
from model.train.distributed import ProcessGroup, join, leave
from model.train.log import open_log
from model.train.refresh import begin, finish, planned
from model.train.trainer import SPOKEN_OPENINGS, Trainer, TrainOptions
from model.transformer import Transformer, TransformerConfig

PRESETS = {  # width, layers, heads, hidden
    "tiny": (64, 2, 2, 192),
    "small": (192, 4, 4, 512),
    "medium": (256, 4, 4, 704),
    "story": (288, 6, 6, 768),
    "large": (512, 8, 8, 1408),
}
DEFAULT_MINUTES = 30.0

_BAR = "{percentage:5.1f}% |{bar}| {elapsed} < {remaining}{postfix}"


def prepare(
    options: TrainOptions, processes: ProcessGroup, corpus: corpora.Corpus | None = None
) -> Trainer:
    """Read what is asked for, the corpus too where it is not given, and build the trainer.

    Raises:
        InputError: a corpus cannot be used.
        WeightsError: what to start from cannot be used or does not fit.
        OutputError: the folder to write to cannot be written.
    """
    _check_writable(options.folder)
    state = load_state(options.state_path) if options.resume else None
    corpus = corpus or corpora.load_corpus(options.corpus, options.seed)
    if state:
        vocabulary = Vocabulary(state["vocabulary"].tolist())
        model = _resumed_model(state, options)
        if processes.leads and state["corpus"] != corpus.fingerprint:
            click.echo("The corpus is not the one that training began with; going on with it.")
    else:
        vocabulary = _choose_vocabulary(options, corpus)
        model = _fresh_model(options, vocabulary)
    return Trainer(options, corpus, vocabulary, model, state, processes)


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
    among = Vocabulary(shared_ids(options.init_from)) if options.init_from else Vocabulary.full()
    return corpora.choose_vocabulary(
        corpus, among, options.vocabulary_minimum, options.vocabulary_size
    )


def _fresh_model(options: TrainOptions, vocabulary: Vocabulary) -> Transformer:
    """A model with random weights, or with those it is to start from."""
    torch.manual_seed(options.seed)
    if options.init_from is None:
        width, layers, heads, hidden = PRESETS[options.preset or "small"]
        return Transformer(
            TransformerConfig(vocabulary.size, options.context, layers, heads, width, hidden)
        )
    if options.init_from.suffix == ".safetensors":
        weights = load_weights(options.init_from)
        _refuse_other_language(options, weights.language, options.init_from)
        model = weights.model
    else:
        model = start_from_story_model(options.init_from, vocabulary)
    _refuse_other_shape(options, model.config, options.init_from)
    return model


def _resumed_model(state: dict[str, Any], options: TrainOptions) -> Transformer:
    config = TransformerConfig(**state["config"])
    _refuse_other_language(options, state["language"], options.state_path)
    _refuse_other_shape(options, config, options.state_path)
    return build_model(config, state["model"], options.state_path)


def _refuse_other_language(options: TrainOptions, language: str, path: Path) -> None:
    if language != options.language:
        raise WeightsError(
            f'{path} is of the language "{language}", not "{options.language}"; add --language '
            f"{language}, or choose another file or --out."
        )


def _refuse_other_shape(options: TrainOptions, config: TransformerConfig, path: Path) -> None:
    shape = (config.width, config.layers, config.heads, config.hidden)
    if options.preset is not None and shape != PRESETS[options.preset]:
        width, layers, heads, hidden = shape
        raise WeightsError(
            f"{path} is {width} wide with {layers} layers, {heads} heads and {hidden} hidden, "
            f"not the preset {options.preset}; leave out --preset."
        )


def train(trainer: Trainer) -> bool:
    """Train until steps, minutes or patience end; False if the user stopped it before."""
    options, processes = trainer.options, trainer.processes
    log = open_log(options.folder, tensorboard=options.tensorboard, quiet=not processes.leads)
    with log as record, _progress_bar(trainer) as bar, _stop_requested() as stop:
        record({"start": _describe(trainer)})
        early = False
        while processes.agree(trainer.progress() < 1 and not (stop or early), trainer.device):
            values = trainer.train_step(trainer.progress())
            record(values)
            bar.n = round(100 * trainer.progress(), 2)
            bar.set_postfix_str(
                f"loss {values['loss']:.3f}, {values['tokens_per_second']:.0f} tokens/s, "
                f"best {trainer.best:.3f} bits/byte"
            )
            due = trainer.step % options.validate_every == 0 or trainer.progress() >= 1
            if due and processes.leads:
                found = trainer.validate()
                record(found)
                trainer.save()
                bar.write(f"Step {trainer.step}: {found['bits_per_byte']:.4f} bits/byte held out")
                bar.write(f"    {found['sample']}")
                early = options.patience is not None and trainer.worse >= options.patience
    if processes.leads:
        trainer.save()
    return early or trainer.progress() >= 1


def _progress_bar(trainer: Trainer) -> "tqdm[Never]":
    begin = 100 * trainer.progress()
    hidden = not trainer.processes.leads
    return tqdm(total=100.0, initial=begin, unit="%", bar_format=_BAR, disable=hidden)


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
        "accumulate": trainer.options.accumulate,
        "processes": trainer.processes.count,
        "optimizer": trainer.optimizer,
        "learning_rate": trainer.rate,
        "precision": "bf16" if trainer.bfloat16 else "fp32",
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "step": trainer.step,
        "command": sys.argv,
    }


def _minimum(_c: click.Context, _p: click.Parameter, value: str) -> int | None:
    if value == "full":
        return None
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter("give a number from 1 on, or full")
    return int(value)


@click.command(context_settings={"show_default": True})
@click.argument("more_corpus", nargs=-1, metavar="[FILE[@SHARE]]...")
@click.option(
    "--corpus",
    "corpus",
    multiple=True,
    metavar="FILE[@SHARE]",
    help="Text in UTF-8 (.txt, .md, .txt.xz), documents parted by lines <|endoftext|>; with @0.2 "
    "each pass draws a fifth of the documents. More files may follow: --corpus *.txt.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    help="Start from these weights: .safetensors, or a llama2.c model with its tokenizer.",
)
@click.option("--resume", is_flag=True, help="Go on where the training in --out was left.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Time to take.")
@click.option("--steps", type=click.IntRange(1), help="Steps to take, instead of --minutes.")
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Size; small, or as --init-from.")
@click.option(
    "--context", type=click.IntRange(8, LARGEST_CONTEXT), default=256, help="Tokens it can see."
)
@click.option("--language", type=click.Choice(["en", "zh"]), help="[default: en, or the set one]")
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
    "--vocabulary-size",
    type=click.IntRange(1),
    help="Keep at least so many tokens: the commonest. Worth it where they are known already.",
)
@click.option(
    "--spoken-openings",
    type=click.FloatRange(0, 1),
    help="Part of the documents whose opening looks like a spoken seed.  [default: 0.35; zh: 0]",
)
@click.option("--batch", type=click.IntRange(1), default=16, help="Sequences at a time.")
@click.option(
    "--accumulate",
    type=click.IntRange(1),
    default=1,
    help="Batches in a step: a larger step in the same memory.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["auto", "adamw", "muon"]),
    default="auto",
    help="auto: muon from scratch, adamw with --init-from.",
)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Its peak.")
@click.option("--validate-every", type=click.IntRange(1), default=100, help="Steps.")
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop early after so many validations without a better one.",
)
@click.option("--tensorboard", is_flag=True, help="Curves for TensorBoard in --out, too.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
@click.option("--device", default="auto")
@click.option("--threads", type=click.IntRange(1), help="Default: torch's choice.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of all that is random.")
@report_errors
def main(
    corpus: tuple[str, ...],
    more_corpus: tuple[str, ...],
    threads: int | None,
    spoken_openings: float | None,
    **given: Any,
) -> None:
    """Train a model on texts, or go on with it.

    Without --corpus and --out: refresh the weights in use from the texts in
    $XDG_DATA_HOME/afterword/corpus.
    """
    if given["steps"] is not None and given["minutes"] is not None:
        raise click.UsageError("Give --steps or --minutes, not both.")
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    files = tuple(corpora.parse_corpus_file(argument) for argument in (*corpus, *more_corpus))
    if not files and given["out"] is None:
        _refresh({**given, "spoken_openings": spoken_openings})
        return
    if not corpus or given["out"] is None:
        raise click.UsageError("Give both --corpus and --out, or none of them.")
    if given["steps"] is None and given["minutes"] is None:
        given["minutes"] = DEFAULT_MINUTES
    given["language"] = given["language"] or "en"
    if spoken_openings is None:
        spoken_openings = SPOKEN_OPENINGS[given["language"]]
    options = TrainOptions(corpus=files, spoken_openings=spoken_openings, **given)
    # Not Path.exists, which raises where the folder may not be looked into.
    if os.path.exists(options.state_path) and not options.resume:  # noqa: PTH110
        raise OutputError(
            f"{options.folder} holds a training already; add --resume to go on with it, or choose "
            "another --out."
        )
    processes = join()
    try:
        _run(options, processes)
    finally:
        leave(processes)


def _refresh(given: dict[str, Any]) -> None:
    """Refresh the weights in use from the user's texts, or go on with that."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise click.UsageError("In several processes, give --corpus and --out.")
    with planned(given, click.echo) as refresh:
        trainer = prepare(refresh.options, ProcessGroup(), refresh.corpus)
        begin(refresh, trainer)
        if train(trainer):
            finish(refresh, click.echo)
        else:
            click.echo(f"Stopped after step {trainer.step}; the same command goes on.")


def _run(options: TrainOptions, processes: ProcessGroup) -> None:
    """Train, and say what and how it went if we lead."""
    trainer = prepare(options, processes)
    about = _describe(trainer)
    each = f" in each of {processes.count} processes" if processes.count > 1 else ""
    if processes.leads:
        click.echo(
            f"Training {about['parameters'] / 1e6:.1f} million parameters "
            f"({about['vocabulary_size']} tokens in the vocabulary) on "
            f"{about['corpus_tokens'] / 1e6:.2f} million tokens, "
            f"{about['precision']} on {about['device']}, "
            f"{about['threads']} threads{each}, "
            + (f"{options.steps} steps." if options.steps else f"{options.minutes:g} minutes.")
        )
    finished = train(trainer)
    if not processes.leads:
        return
    if finished:
        click.echo(
            f"Done: {trainer.best:.4f} bits/byte on held-out text; the weights are in "
            f"{options.weights_path}."
        )
    else:
        click.echo(f"Stopped after step {trainer.step}; the same command with --resume goes on.")


if __name__ == "__main__":
    main()
