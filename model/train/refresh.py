"""Refresh the weights in use from the user's own texts: `afterword train` without arguments.

The texts are in `$XDG_DATA_HOME/afterword/corpus`. Some more come from a starter corpus, a sample
of the training texts of the shipped weights, so that the language is not forgotten: how many, and
how much of what is learnt is kept, follows from --style (model.train.style). Training starts from
the weights in use; new weights replace them only if they predict the user's held-out texts better.
A stopped training resumes from its own folder.

Fetched weights are not replaced: an adapter of them is trained (model.train.adapters), or with
--full weights of their own (model.train.full), from the user's texts alone.
"""

import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import click
import torch

from config import paths
from config.errors import InputError, MissingPackageError, OutputError, RefusedError
from config.languages import LANGUAGES
from config.load import load
from config.settings import Settings
from model.checkpoints.fetched import SMALL, chosen, is_known, name_of
from model.checkpoints.store import describe, find_weights, own_weights
from model.checkpoints.weights_file import Weights, load_weights, publish_weights
from model.data.corpus import Corpus
from model.device import choose_device, faster_with_bfloat16
from model.evaluate.score import score
from model.loss import batch_loss
from model.train.adapters.target import START, AdapterTarget
from model.train.distributed import ProcessGroup
from model.train.full.memory import require_memory
from model.train.full.target import SEQUENCES, FullTarget
from model.train.log import open_log
from model.train.options import TrainOptions
from model.train.own_texts import read_own_texts
from model.train.report import make_samples, write_report
from model.train.run import prepare, train
from model.train.style.amount import DEFAULT as DEFAULT_STYLE
from model.train.style.amount import Style
from model.train.style.average import average
from model.train.style.mix import cut, is_new_form, mix
from model.transformer import Transformer

_PASSES = 3  # over the user's texts
_MIN_STEPS = 30
_MAX_MINUTES = 30.0  # unless --minutes or --steps is given
_VALIDATIONS = 8
_PATIENCE = 2  # validations without a better one, unless --patience is given
_BATCH = 4  # sequences at a time at most: of few texts, more and smaller steps learn more
_RATE = 2e-4
_NEW_FORM_RATE = 1e-3
_SPOKEN_OPENINGS = 1.0  # share of the user's pieces, in a language that has them: seeds are spoken
_LENGTH = "length.json"  # steps or minutes of the training, for resuming it


class Target(Protocol):
    """What a refresh trains and publishes.

    Attributes:
        source: the weights file to begin with.
        folder: of the training.
        style: how the user's texts and plain language are weighed.
        mixes_starter: True if the starter corpus is trained on, too.
    """

    @property
    def style(self) -> Style: ...  # noqa: D102

    @property
    def source(self) -> Path: ...  # noqa: D102

    @property
    def folder(self) -> Path: ...  # noqa: D102

    @property
    def mixes_starter(self) -> bool: ...  # noqa: D102

    def begin(self) -> str:
        """Copy into the empty folder what is begun with; returns what that is."""

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of the trainer that follow from the target."""

    def model(self, options: TrainOptions) -> Transformer:
        """The model as it is trained, for measuring how fast that is."""

    def before(self) -> Weights:
        """The weights that the training began with."""

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""

    def publish(self, options: TrainOptions, bits: float, configured: bool) -> list[str]:
        """Put these in place; returns where they are, and what else there is to say.

        `bits` is their score on the user's held-out texts, in bits per byte.
        """


@dataclass(frozen=True)
class OwnWeights:
    """The user's own weights, all of whose numbers are trained; see Target.

    Attributes:
        source: the weights file to begin with.
        folder: of the training.
        style: how the user's texts and plain language are weighed.
    """

    source: Path
    folder: Path
    style: Style
    mixes_starter = True

    @property
    def _start(self) -> Path:
        return self.folder / START

    def begin(self) -> str:
        """Copy the weights into the folder; returns which these are."""
        shutil.copyfile(self.source, self._start)
        return str(self.source)

    def options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Options of the trainer that follow from the target."""
        spoken, weights = given["spoken_openings"], self.before()
        rate = _NEW_FORM_RATE if self.style.new_form else _RATE
        default = _SPOKEN_OPENINGS if LANGUAGES[weights.language].spoken_openings else 0.0
        return {
            "init_from": self._start,
            "batch": min(given["batch"], _BATCH),
            "learning_rate": given["learning_rate"] or rate,
            "spoken_openings": default if spoken is None else spoken,
            "provenance": f"{weights.provenance} Refreshed with texts of the user.".strip(),
        }

    def model(self, _: TrainOptions) -> Transformer:
        """The model as it is trained, for measuring how fast that is."""
        return self.before().model

    def before(self) -> Weights:
        """The weights that the training began with."""
        return load_weights(self._start)

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""
        after = average(self.before(), load_weights(options.weights_path), self.style.kept)
        factor = LANGUAGES[after.language].own_temperature_factor
        factor = min(factor, after.manner.get("temperature_factor", 1.0))
        return replace(after, manner={**after.manner, "temperature_factor": factor})

    def publish(self, options: TrainOptions, bits: float, configured: bool) -> list[str]:
        """Replace the user's own weights; returns where they are, and what else there is to say."""
        place = own_weights(options.language)
        publish_weights(place, replace(self.after(options), bits_per_byte=bits))
        said = [
            f"the new weights are in {place}; `afterword weights` lists those that you can go "
            "back to."
        ]
        if configured:
            said.append(
                "Your settings name other weights (model.weights); remove that to use these."
            )
        elif name := chosen(options.language):
            these = describe(place).name
            said.append(
                f"The weights {name} stay in use; `afterword weights use {these}` changes that."
            )
        return said


@dataclass(frozen=True)
class _Plan:
    """A refresh, new or resumed.

    Attributes:
        target: what is trained.
        options: of the trainer; `out` is the training's own folder.
        corpus: the user's texts, with some of the starter corpus if the target wants it.
        configured: True if the settings name a weights file, which then stays in use.
    """

    target: "Target"
    options: TrainOptions
    corpus: Corpus
    configured: bool


def corpus_folder() -> Path:
    """Folder of the user's texts."""
    return paths.data_folder() / "corpus"


def training_folder(language: str, fetched: str = "") -> Path:
    """Folder of a refresh: what it needs to resume, and its report.

    That of fetched weights is its own: their name follows the language.
    """
    return paths.data_folder() / "training" / (f"{language}-{fetched}" if fetched else language)


def refresh(given: dict[str, Any]) -> None:
    """Train on the user's texts, publish the weights if they are better, write the report.

    Only one process at a time refreshes a language. Stopped by a signal, the next call resumes.

    Args:
        given: the options of the command line, see TrainOptions.

    Raises:
        InputError: there are no texts, too few, or one cannot be read.
        WeightsError: the weights to start from cannot be used.
        OutputError: a folder cannot be written.
        RefusedError: another process trains this language.
        ConfigError: the loss is not a finite number.
    """
    settings = load(None, [f"language={given['language']}"] if given["language"] else []).settings
    pieces = cut(read_own_texts(corpus_folder(), settings.language))
    target = _choose_target(given, settings, _choose_style(given, settings.language, pieces))
    folder = target.folder
    with _training_lock(folder):
        plan = _plan(target, given, settings, pieces)
        trainer = prepare(plan.options, ProcessGroup(), plan.corpus)
        if trainer.step == 0:  # score the weights in use: only better ones may replace them
            with open_log(folder, tensorboard=False) as record:
                record(trainer.validate())
        if train(trainer):
            _finish(plan)
        else:
            click.echo(f"Stopped after step {trainer.step}; the same command goes on.")


def _choose_style(given: dict[str, Any], language: str, pieces: Sequence[str]) -> Style:
    """The given or default style; takes it out of the given options, and prints if it is moot."""
    value = DEFAULT_STYLE if given["style"] is None else given["style"]
    del given["style"]
    if not is_new_form(pieces, language):
        return Style(value)
    click.echo(
        "Your texts are prose, and the starter corpus is verse: prose is learnt from your texts "
        "alone, as with --style 1."
    )
    return Style(value, new_form=True)


def _choose_target(given: dict[str, Any], settings: Settings, style: Style) -> Target:
    """What --weights names, else the weights in use, to be trained in this style.

    Takes these options out of the given ones.
    """
    weights, full, init_from = given.pop("weights"), given.pop("full"), given["init_from"]
    language = settings.language
    if weights not in (None, SMALL) and not is_known(weights):
        raise InputError(
            f'No weights to train are called "{weights}"; give --weights {SMALL}, or the name of '
            "fetched ones that `afterword weights` lists."
        )
    path = find_weights(language, weights or settings.model.weights)
    if (fetched := name_of(path)) and init_from is None:
        if full:
            return _full_target(path, training_folder(language, f"{fetched}-full"), style, given)
        return AdapterTarget(path, training_folder(language, fetched), style)
    if full:
        raise InputError(
            "--full is for fetched weights, such as --weights large; of others all parameters are "
            "trained without it."
        )
    return OwnWeights(Path(init_from or path), training_folder(language), style)


def _full_target(path: Path, folder: Path, style: Style, given: dict[str, Any]) -> FullTarget:
    """All parameters of fetched weights; prints how much memory that needs."""
    config = load_weights(path).stored.config
    config = replace(config, context_length=min(given["context"], config.context_length))
    sequences = min(given["batch"], SEQUENCES)
    click.echo(require_memory(config, sequences, given["device"]))
    return FullTarget(path, folder, style, config.context_length)


def _plan(
    target: Target, given: dict[str, Any], settings: Settings, pieces: Sequence[str]
) -> _Plan:
    """Decide on what to train, and how long; prints the latter."""
    language, folder = settings.language, target.folder
    resumes = (folder / "last.pt").is_file()
    if not resumes:
        click.echo(f"Starting from {_begin_folder(target)}.")
    starter_share = target.style.starter_share if target.mixes_starter else 0.0
    corpus = mix(pieces, language, given["seed"], starter_share)
    fixed = {"language": language, "corpus": (), "out": folder, "resume": resumes}
    patience = given["patience"] or _PATIENCE
    options = TrainOptions(**{**given, **target.options(given), **fixed, "patience": patience})
    if resumes:
        click.echo(f"Going on with the training in {folder}; delete that folder to begin anew.")
        length = json.loads((folder / _LENGTH).read_text())
        if options.steps is None and options.minutes is None:
            options = replace(options, steps=length["steps"], minutes=length["minutes"])
        options = replace(options, validate_every=length["validate_every"])
    else:
        options = _with_length(options, corpus, target)
    return _Plan(target, options, corpus, settings.model.weights is not None)


@contextmanager
def _training_lock(folder: Path) -> Iterator[None]:
    """A lock on a training folder; the system releases it when the process ends."""
    path = folder.with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(
                f"Another process trains in {folder}; wait for it, or stop it."
            ) from error
        yield


def _finish(plan: _Plan) -> None:
    """Publish the weights if they are better, write the report, remove the other files."""
    target, options = plan.target, plan.options
    log = _read_log(options.folder / "log.jsonl")
    first, best = log[0]["bits_per_byte"], min(entry["bits_per_byte"] for entry in log)
    before, after, own = target.before(), target.after(options), plan.corpus.held_out
    if best < first and target.style.kept < 1:
        device = choose_device(options.device)
        best = score(after.model.to(device), after.vocabulary, own, device).bits_per_byte
    if best < first:
        place, *notes = target.publish(options, best, plan.configured)
        summary = f"Held-out texts went from {first:.4f} to {best:.4f} bits/byte; {place}"
    else:
        summary = f"Nothing was better than before ({first:.4f} bits/byte); the weights stay."
        notes = []
    for line in (summary, *notes):
        click.echo(line)
    samples = make_samples(before, after, options.language, own)
    try:
        click.echo(f"Report: {write_report(options.folder, samples, summary)}")
    except MissingPackageError as error:
        click.echo(f"No report: {error}")
    for name in ("last.pt", _LENGTH, "texts.txt", START, options.weights_path.name):
        (options.folder / name).unlink(missing_ok=True)


def _read_log(path: Path) -> list[dict[str, Any]]:
    """The validations of a training, oldest first."""
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if "bits_per_byte" in line]


def _begin_folder(target: Target) -> str:
    """Empty the training folder and copy what is begun with into it; returns what that is."""
    folder = target.folder
    load_weights(target.source)  # raises before anything is removed
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
        return target.begin()
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be written: {error.strerror}.") from error


def _with_length(options: TrainOptions, corpus: Corpus, target: Target) -> TrainOptions:
    """The options with a length for these texts, if none is given; prints how long it takes."""
    tokens = sum(len(source.tokens) * source.share for source in corpus.sources)
    model = target.model(options)
    in_step = options.batch * options.accumulate * model.config.context_length
    seconds = options.accumulate * seconds_per_batch(options, model)
    steps = options.steps or max(_MIN_STEPS, math.ceil(_PASSES * tokens / in_step))
    minutes = steps * seconds / 60
    if options.minutes is not None or (options.steps is None and minutes > _MAX_MINUTES):
        minutes = options.minutes or _MAX_MINUTES
        options = replace(options, minutes=minutes, steps=None)
        steps = max(1, int(60 * minutes / seconds))
    else:
        options = replace(options, steps=steps)
    every = max(1, min(options.validate_every, steps // _VALIDATIONS))
    click.echo(
        f"About {steps} steps, {steps * in_step / tokens:.1f} passes over your texts"
        f"{' and some of the starter corpus' if target.mixes_starter else ''}; "
        f"{in_step / seconds:,.0f} tokens a second here, so some {max(1, round(minutes))} minutes, "
        "and the validations. Ctrl-C stops it at any time; the same command goes on."
    )
    length = {"steps": options.steps, "minutes": options.minutes, "validate_every": every}
    (options.folder / _LENGTH).write_text(json.dumps(length))
    return replace(options, validate_every=every)


def seconds_per_batch(options: TrainOptions, model: Transformer) -> float:
    """Seconds that forward and backward of a batch take here; the weights are not changed."""
    device = choose_device(options.device)
    model = model.to(device)
    shape = (options.batch, model.config.context_length + 1)
    rows = torch.randint(model.config.vocabulary_size, shape, device=device)  # (B, T + 1)
    bf16 = options.precision == "bf16"
    bf16 = bf16 or (options.precision == "auto" and faster_with_bfloat16(device))
    seconds = math.inf
    for _ in range(2):  # the first one is slower
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = batch_loss(model, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        seconds = min(seconds, time.perf_counter() - began)
    model.zero_grad()
    return seconds
