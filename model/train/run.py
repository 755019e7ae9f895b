"""One training run: the trainer is built, the loop steps, validates and saves.

Written into the folder of the run: `<language>.safetensors`, the best weights so far, for use;
`last.pt`, the state for --resume; `log.jsonl`, one line for each step and validation. Under
torchrun, N processes each take a batch of every step.
"""

import contextlib
import errno
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

from config.errors import LostProcessError, OutputError, WeightsError
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import Weights, build_model, load_weights
from model.command import first_lines, left_out
from model.data.corpus import Corpus, choose_vocabulary, load_corpus
from model.teacher.llama2c import shared_ids, start_from_story_model
from model.text.vocabulary import Vocabulary
from model.train.adapters.start import adapted_model
from model.train.budget.autosave import Autosave
from model.train.budget.disk import require_room
from model.train.budget.plan import duration, with_length
from model.train.distributed import ProcessGroup, destroy, init, lost_processes
from model.train.log import drop_later, open_log
from model.train.options import PRESETS, TrainOptions
from model.train.trainer import Trainer
from model.transformer import Transformer, TransformerConfig

_BAR = "{percentage:5.1f}% |{bar}| {elapsed}{postfix}"
_FULL = (errno.ENOSPC, errno.EDQUOT)


def run(options: TrainOptions) -> None:
    """Train with these options; the main process prints what is trained and the result.

    Raises:
        InputError: a corpus cannot be used.
        WeightsError: the weights or state to start from cannot be used or do not fit.
        OutputError: the folder holds a training that is not resumed, or cannot be written.
        ConfigError: the loss is not a finite number, or TensorBoard is missing.
        LostProcessError: another process does not answer any more.
    """
    # Not Path.exists, which raises if the folder may not be searched.
    if os.path.exists(options.state_path) and not options.resume:  # noqa: PTH110
        raise OutputError(
            f"{options.folder} holds a training already; add --resume to go on with it, or choose "
            "another --out."
        )
    processes = init()
    try:
        with lost_processes(processes):
            _train(options, processes)
    finally:
        destroy(processes)


def _train(options: TrainOptions, processes: ProcessGroup) -> None:
    """Train, and print how it ended."""
    trainer = prepare(options, processes)
    trainer.threads.choose()
    if processes.is_main:
        click.echo(_announcement(trainer))
    finished = train(trainer)
    if processes.is_main and finished:
        path = options.weights_path
        where = f"the adapter is in {path}; `afterword weights use {path}` puts it in place."
        where = where if options.rank else f"the weights are in {path}."
        click.echo(f"Done: {trainer.best:.4f} bits/byte on held-out text; {where}")
    elif processes.is_main:
        click.echo(f"Stopped after step {trainer.step}; {options.resume_command} goes on.")


def prepare(
    options: TrainOptions, processes: ProcessGroup, corpus: Corpus | None = None
) -> Trainer:
    """Build the trainer from the given or named corpus, and from scratch, weights or a state.

    Raises:
        InputError: a corpus cannot be used.
        WeightsError: the weights or state to start from cannot be used or do not fit.
        OutputError: the folder cannot be written, or has not enough room.
    """
    _check_writable(options.folder)
    state = load_state(options.state_path) if options.resume else None
    options = with_length(options, state)
    if corpus is None:
        corpus = load_corpus(options.corpus, options.seed, partial=True)
        if processes.is_main:
            _tell(corpus, len(options.corpus))
    start = _start(options, state)
    base = start if options.rank else None
    if base:
        vocabulary, model = base.vocabulary, adapted_model(base, options, state)
    elif state:
        rows = state.get("vocabulary_rows", [(), ""])  # absent from older states
        vocabulary = Vocabulary(state["vocabulary"].tolist(), *rows)
        model = _resumed_model(state, options)
    else:
        vocabulary = start.vocabulary if start else _choose_vocabulary(options, corpus)
        model = _fresh_model(options, vocabulary, start)
    if state and processes.is_main and state["corpus"] != corpus.fingerprint:
        click.echo("The corpus is not the one that training began with; going on with it.")
    manner = start.manner if start else (state or {}).get("manner")  # absent from older states
    trained = sum(w.numel() for w in model.parameters() if w.requires_grad)
    require_room(options, trained)
    return Trainer(options, corpus, vocabulary, model, state, processes, base, manner)


def _start(options: TrainOptions, state: dict[str, Any] | None) -> Weights | None:
    """The weights file that is begun with; None for others, and for a training that is resumed.

    One of an adapter needs the file in both cases.
    """
    path = options.init_from
    if path is None or options.from_story_model or (state and not options.rank):
        return None
    weights = load_weights(path)
    _refuse_other_language(options, weights.language, path)
    return weights


def _tell(corpus: Corpus, files: int) -> None:
    """Print what was read, and what is left out."""
    documents = [text for source in corpus.sources for text in source.documents]
    characters = sum(map(len, documents)) + sum(map(len, corpus.held_out))
    click.echo(f"Read {files - len(corpus.errors):,} files of {characters:,} characters.")
    if corpus.notes:
        click.echo(first_lines(corpus.notes))
    if corpus.errors:
        click.echo(left_out(corpus.errors))


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("a"):
            pass
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be written: {error.strerror}; choose another --out."
        ) from error


def _choose_vocabulary(options: TrainOptions, corpus: Corpus) -> Vocabulary:
    if options.vocabulary_minimum is None:
        return Vocabulary.full()
    among = Vocabulary(shared_ids(options.init_from)) if options.init_from else Vocabulary.full()
    return choose_vocabulary(corpus, among, options.vocabulary_minimum, options.vocabulary_size)


def _fresh_model(
    options: TrainOptions, vocabulary: Vocabulary, start: Weights | None
) -> Transformer:
    """A model with random weights, or with those of --init-from: a weights file, or another's."""
    torch.manual_seed(options.seed)
    if options.init_from is None:
        width, layers, heads, hidden = PRESETS[options.preset or "small"]
        return Transformer(
            TransformerConfig(vocabulary.size, options.context, layers, heads, width, hidden)
        )
    model = start.model if start else start_from_story_model(options.init_from, vocabulary)
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
    """The training loop: ends after steps, minutes or patience; False if a signal ended it.

    Raises:
        OutputError: the disk is full; the last state stays.
        LostProcessError: another process does not answer any more; the main one has saved.
        ConfigError: the loss is not a finite number.
    """
    options, processes = trainer.options, trainer.processes
    if processes.is_main:
        drop_later(options.folder, trainer.step)
    log = open_log(options.folder, tensorboard=options.tensorboard, quiet=not processes.is_main)
    with (
        saying_how_to_go_on(trainer),
        log as record,
        _bar(trainer) as bar,
        _stop_requested() as stop,
    ):
        record({"start": _describe(trainer)})
        autosave, early = Autosave(lambda: _save(trainer)), False
        trainer.clock.start()
        done = trainer.progress()
        while processes.broadcast(done < 1 and not (stop or early), trainer.device):
            if trainer.threads.choose():
                record({"step": trainer.step, "threads": trainer.threads.count})
            values = trainer.train_step(trainer.progress())
            record(values)
            before, done = done, trainer.progress()
            _show(bar, trainer, values)
            if processes.is_main and _validation_due(trainer, before, done):
                record(_validate(trainer, bar))
                autosave.now()
                early = options.patience is not None and trainer.worse >= options.patience
            autosave.if_due()
        _save(trainer)
    return early or done >= 1


def _save(trainer: Trainer) -> None:
    """Let the main process save the state, if a step was made since the last time."""
    if trainer.processes.is_main and trainer.saved != trainer.step:
        trainer.save()


@contextlib.contextmanager
def saying_how_to_go_on(trainer: Trainer) -> Iterator[None]:
    """End a training that cannot go on in one sentence, which says how it can, and from where."""
    options = trainer.options
    try:
        with lost_processes(trainer.processes):
            yield
    except LostProcessError:
        if trainer.processes.is_main:
            trainer.save()
        raise
    except OutputError as error:
        full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL
        remedy = "make room" if full else "mend that"
        more = f"{options.resume_command} goes on after step {trainer.saved}"
        if trainer.saved is None:
            more = f"begin anew, without {options.folder}: no state is saved yet"
        raise OutputError(f"{str(error).removesuffix('.')}; {remedy}, and {more}.") from error


def _validate(trainer: Trainer, bar: "tqdm[Never]") -> dict[str, Any]:
    """Score the held-out texts; prints the score and a sample."""
    found = trainer.validate()
    bar.write(f"Step {trainer.step}: {found['bits_per_byte']:.4f} bits/byte held out")
    bar.write(f"    {found['sample']}")
    return found


def _show(bar: "tqdm[Never]", trainer: Trainer, values: dict[str, float]) -> None:
    """Show how far the training is, and how long it still takes as fast as it now is."""
    bar.n = round(100 * trainer.progress(), 2)
    left = trainer.left()
    shown = [f"{duration(left)} left"] if left is not None else []
    shown += [
        f"loss {values['loss']:.3f}",
        f"{values['tokens_per_second']:.0f} tokens/s",
        f"best {trainer.best:.3f} bits/byte",
    ]
    bar.set_postfix_str(", ".join(shown))


def _validation_due(trainer: Trainer, before: float, done: float) -> bool:
    """True at each part of so many `validations`, if given, else at each `validate_every` step.

    `before` and `done` are the progress before and after the step.
    """
    parts = trainer.options.validations
    if parts is None:
        return done >= 1 or trainer.step % trainer.options.validate_every == 0
    return int(parts * before) < int(parts * done)


def _bar(trainer: Trainer) -> "tqdm[Never]":
    begin = 100 * trainer.progress()
    hidden = not trainer.processes.is_main
    return tqdm(total=100.0, initial=begin, unit="%", bar_format=_BAR, disable=hidden)


@contextlib.contextmanager
def _stop_requested() -> Iterator[list[int]]:
    """A list that receives SIGINT and SIGTERM, so that the current step is finished first."""
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
    """Shape, data and options of the run, for the log."""
    return {
        **asdict(trainer.model.config),
        "parameters": sum(w.numel() for w in trainer.model.parameters() if w.requires_grad),
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


def _announcement(trainer: Trainer) -> str:
    """Size, data, device and length of the run, in one sentence."""
    options, count = trainer.options, trainer.processes.count
    about = _describe(trainer)
    each = f" in each of {count} processes" if count > 1 else ""
    return (
        f"Training {about['parameters'] / 1e6:.1f} million parameters "
        f"({about['vocabulary_size']} tokens in the vocabulary) on "
        f"{about['corpus_tokens'] / 1e6:.2f} million tokens, "
        f"{about['precision']} on {about['device']}, "
        f"{about['threads']} threads{each}, "
        + (f"{options.steps} steps." if options.steps else f"{options.minutes:g} minutes.")
    )
