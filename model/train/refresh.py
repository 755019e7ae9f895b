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
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import click

from config import paths
from config.errors import InputError, MissingPackageError, OutputError, RefusedError
from config.languages import LANGUAGES
from config.load import load
from config.settings import Settings
from model.checkpoints.fetched import SMALL, chosen, is_known, name_of
from model.checkpoints.metadata.scores import Scores
from model.checkpoints.store import describe, find_weights, own_weights
from model.checkpoints.weights_file import Weights, load_weights, publish_weights
from model.data.corpus import Corpus
from model.data.other_language import other_languages
from model.device import choose_device
from model.inference.loading import generator_options
from model.train.adapters.target import START, AdapterTarget
from model.train.budget.plan import PASSES, VALIDATIONS, Plan, duration, tokens_in_pass, told
from model.train.distributed import ProcessGroup
from model.train.full.memory import require_memory
from model.train.full.target import SEQUENCES, FullTarget
from model.train.log import open_log
from model.train.options import TrainOptions
from model.train.own_texts import read_own_texts
from model.train.result.page import write_report
from model.train.result.samples import make_samples, printed
from model.train.result.scores import measure
from model.train.run import prepare, saying_how_to_go_on, train
from model.train.style.amount import DEFAULT as DEFAULT_STYLE
from model.train.style.amount import Style
from model.train.style.average import average
from model.train.style.mix import cut, is_new_form, mix
from model.train.trainer import Trainer

_PATIENCE = 2  # validations without a better one, unless --patience is given
_BATCH = 4  # sequences at a time at most: of few texts, more and smaller steps learn more
_RATE = 2e-4
_NEW_FORM_RATE = 1e-3
_SPOKEN_OPENINGS = 1.0  # share of the user's pieces, in a language that has them: seeds are spoken


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

    def before(self) -> Weights:
        """The weights that the training began with."""

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""

    def publish(self, options: TrainOptions, scores: Scores, configured: bool) -> list[str]:
        """Put the best weights in place; returns where they are, and what else there is to say."""


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

    def before(self) -> Weights:
        """The weights that the training began with."""
        return load_weights(self._start)

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training, with the style's share of what it changed."""
        after = average(self.before(), load_weights(options.weights_path), self.style.kept)
        factor = LANGUAGES[after.language].own_temperature_factor
        factor = min(factor, after.manner.get("temperature_factor", 1.0))
        return replace(after, manner={**after.manner, "temperature_factor": factor})

    def publish(self, options: TrainOptions, scores: Scores, configured: bool) -> list[str]:
        """Replace the user's own weights; returns where they are, and what else there is to say."""
        place = own_weights(options.language)
        publish_weights(place, replace(self.after(options), scores=scores))
        said = [
            f"The new weights are in {place}; `afterword weights use --previous` goes back to "
            "those before, `afterword weights` lists all."
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
        settings: of the language.
    """

    target: "Target"
    options: TrainOptions
    corpus: Corpus
    settings: Settings


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
    texts = read_own_texts(corpus_folder(), settings.language)
    for line in other_languages(texts, settings.language):
        click.echo(line)
    pieces = cut(texts)
    target = _choose_target(given, settings, _choose_style(given, settings.language, pieces))
    folder = target.folder
    with _training_lock(folder):
        plan = _plan(target, given, settings, pieces)
        trainer = prepare(plan.options, ProcessGroup(), plan.corpus)
        with saying_how_to_go_on(trainer):
            _begin(trainer, _starter_share(target) > 0)
        if not train(trainer):
            click.echo(f"Stopped after step {trainer.step}; the same command goes on.")
            return
        with saying_how_to_go_on(trainer):
            _finish(plan, trainer)


def _begin(trainer: Trainer, starter: bool) -> None:
    """Score the weights that only better ones may replace; prints how long the training takes."""
    trainer.threads.choose()
    if trainer.step == 0 and trainer.first is None:
        with open_log(trainer.options.folder, tensorboard=False) as record:
            record(trainer.validate())
        trainer.save()
    options = trainer.options
    batch = min(trainer.rehearse(options.batch) for _ in range(2))  # the first one is slower
    seconds = options.accumulate * batch
    trainer.clock.note_step(seconds)
    if trainer.step:
        click.echo(f"It takes {duration(trainer.left() or 0)} more.")
        return
    steps = trainer.clock.steps
    expected = trainer.clock.expected(0, VALIDATIONS)
    if steps is None or expected is None:
        return
    passes = steps * trainer.tokens_in_step / tokens_in_pass(trainer.corpus)
    speed = trainer.tokens_in_step / seconds
    count = trainer.threads.count
    on_cpu = trainer.device.type == "cpu"
    place = f"{count} thread{'s' * (count != 1)}" if on_cpu else str(trainer.device)
    click.echo(told(Plan(steps, passes, options.minutes, expected, speed, place, starter)))


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
    """Decide what is trained; prints what it begins with."""
    language, folder = settings.language, target.folder
    resumes = (folder / "last.pt").is_file()
    if not resumes:
        click.echo(f"Starting from {_begin_folder(target)}.")
    corpus = mix(pieces, language, given["seed"], _starter_share(target))
    fixed: dict[str, Any] = {"language": language, "corpus": (), "out": folder, "resume": resumes}
    fixed |= {"passes": PASSES, "validations": VALIDATIONS}
    fixed |= {"patience": given["patience"] or _PATIENCE}
    options = TrainOptions(**{**given, **target.options(given), **fixed})
    if resumes:
        click.echo(f"Going on with the training in {folder}; delete that folder to begin anew.")
    return _Plan(target, options, corpus, settings)


def _starter_share(target: Target) -> float:
    return target.style.starter_share if target.mixes_starter else 0.0


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


def _finish(plan: _Plan, trainer: Trainer) -> None:
    """Publish the weights if they are better, write the report, remove the other files."""
    target, options = plan.target, plan.options
    first = math.inf if trainer.first is None else trainer.first  # absent from older states
    before, after, own = target.before(), target.after(options), plan.corpus.held_out
    scores, notes = None, []
    if trainer.best < first:
        device = choose_device(options.device)
        scores = measure(before, after, own, options.language, device)
        click.echo(
            f"Bits per byte, lower is better: your held-out texts {scores.own}, plain language "
            f"{scores.plain}."
        )
        configured = plan.settings.model.weights is not None
        summary, *notes = target.publish(options, scores, configured)
    else:
        summary = f"Nothing was better than before ({first:.4f} bits/byte); the weights stay."
    for line in (summary, *notes):
        click.echo(line)
    drawing = generator_options(plan.settings)
    samples = make_samples(before, after, options.language, own, drawing)
    if scores:
        click.echo("The same seeds before and after:")
        click.echo("\n".join(printed(samples)))
    try:
        page = write_report(options.folder, options.language, summary, scores, samples)
        click.echo(f"Report: {page}")
    except (InputError, MissingPackageError) as error:
        click.echo(f"No report: {error}")
    for name in ("last.pt", "texts.txt", START, options.weights_path.name):
        (options.folder / name).unlink(missing_ok=True)


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
