"""Refresh the weights in use from the user's own texts: `afterword train` without arguments.

The texts are in `$XDG_DATA_HOME/afterword/corpus`. As many again come from a starter corpus, a
sample of the training texts of the shipped weights, so that the language is not forgotten.
Training starts from the weights in use; new weights replace them only if they predict the held-out
texts, half of them the user's, better. A stopped training resumes from its own folder.

Fetched weights are not replaced: an adapter of them is trained (model.train.adapters), or with
--full weights of their own (model.train.full), from the user's texts alone.
"""

import fcntl
import hashlib
import json
import random
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
from model.data.corpus import Corpus, load_corpus, make_source
from model.data.cutting import LINES, PARAGRAPHS, SENTENCES, WORDS, cut_text
from model.data.other_language import other_languages
from model.data.user_texts import UserText
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
from model.train.result.scores import STARTER_SEED, measure, starter_file
from model.train.run import prepare, saying_how_to_go_on, train
from model.train.trainer import Trainer

_PIECE_CHARACTERS = range(500, 2001)  # of a document to train on
_HELD_OUT_EVERY = 20  # one piece in 20 is held out ...
_HELD_OUT_PIECES = range(2, 33)  # ... but at least 2 and at most 32


class Target(Protocol):
    """What a refresh trains and publishes.

    Attributes:
        source: the weights file to begin with.
        folder: of the training.
        mixes_starter: True if the starter corpus is trained on, too.
    """

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
        """The best weights of the training."""

    def publish(self, options: TrainOptions, scores: Scores, configured: bool) -> list[str]:
        """Put the best weights in place; returns where they are, and what else there is to say."""


@dataclass(frozen=True)
class OwnWeights:
    """The user's own weights, all of whose numbers are trained; see Target.

    Attributes:
        source: the weights file to begin with.
        folder: of the training.
    """

    source: Path
    folder: Path
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
        default = LANGUAGES[weights.language].spoken_openings
        return {
            "init_from": self._start,
            "spoken_openings": default if spoken is None else spoken,
            "provenance": f"{weights.provenance} Refreshed with texts of the user.".strip(),
        }

    def before(self) -> Weights:
        """The weights that the training began with."""
        return load_weights(self._start)

    def after(self, options: TrainOptions) -> Weights:
        """The best weights of the training."""
        return load_weights(options.weights_path)

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
        corpus: the user's texts, with the starter corpus if the target wants it.
        own: held-out texts of the user, the first of `corpus.held_out`.
        settings: of the language.
    """

    target: "Target"
    options: TrainOptions
    corpus: Corpus
    own: list[str]
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
    target = _choose_target(given, settings)
    folder = target.folder
    with _training_lock(folder):
        plan = _plan(target, given, settings)
        trainer = prepare(plan.options, ProcessGroup(), plan.corpus)
        with saying_how_to_go_on(trainer):
            _begin(trainer, target.mixes_starter)
        if not train(trainer):
            click.echo(f"Stopped after step {trainer.step}; the same command goes on.")
            return
        with saying_how_to_go_on(trainer):
            _finish(plan)


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


def _choose_target(given: dict[str, Any], settings: Settings) -> Target:
    """What --weights names, else the weights in use; takes these options out of the given ones."""
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
            return _full_target(path, training_folder(language, f"{fetched}-full"), given)
        return AdapterTarget(path, training_folder(language, fetched))
    if full:
        raise InputError(
            "--full is for fetched weights, such as --weights large; of others all parameters are "
            "trained without it."
        )
    return OwnWeights(Path(init_from or path), training_folder(language))


def _full_target(path: Path, folder: Path, given: dict[str, Any]) -> FullTarget:
    """All parameters of fetched weights; prints how much memory that needs."""
    config = load_weights(path).stored.config
    config = replace(config, context_length=min(given["context"], config.context_length))
    sequences = min(given["batch"], SEQUENCES)
    click.echo(require_memory(config, sequences, given["device"]))
    return FullTarget(path, folder, config.context_length)


def _plan(target: Target, given: dict[str, Any], settings: Settings) -> _Plan:
    """Read the texts, and decide what is trained; prints both."""
    language, folder = settings.language, target.folder
    resumes = (folder / "last.pt").is_file()
    texts = read_own_texts(corpus_folder(), language)
    for line in other_languages(texts, language):
        click.echo(line)
    pieces = cut(texts)
    if not resumes:
        click.echo(f"Starting from {_begin_folder(target)}.")
    corpus, own = _mix(pieces, language, given["seed"], target.mixes_starter)
    fixed: dict[str, Any] = {"language": language, "corpus": (), "out": folder, "resume": resumes}
    fixed |= {"passes": PASSES, "validations": VALIDATIONS}
    options = TrainOptions(**{**given, **target.options(given), **fixed})
    if resumes:
        click.echo(f"Going on with the training in {folder}; delete that folder to begin anew.")
    return _Plan(target, options, corpus, own, settings)


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
    before, after = target.before(), target.after(options)
    scores, notes = None, []
    if best < first:
        device = choose_device(options.device)
        scores = measure(before, after, plan.own, options.language, device)
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
    samples = make_samples(before, after, options.language, plan.own, drawing)
    if scores:
        click.echo("The same seeds before and after:")
        click.echo("\n".join(printed(samples)))
    try:
        page = write_report(options.folder, options.language, summary, scores, samples)
        click.echo(f"Report: {page}")
    except MissingPackageError as error:
        click.echo(f"No report: {error}")
    for name in ("last.pt", "texts.txt", START, options.weights_path.name):
        (options.folder / name).unlink(missing_ok=True)


def _read_log(path: Path) -> list[dict[str, Any]]:
    """The validations of a training, oldest first."""
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if "bits_per_byte" in line]


def cut(texts: Sequence[UserText]) -> list[str]:
    """Cut texts at sentence ends into pieces of a twentieth of all, 500 to 2,000 characters.

    A sentence that is longer by itself is cut at blanks, or anywhere if it has none.
    """
    size = sum(len(text.text) for text in texts)
    longest = min(_PIECE_CHARACTERS[-1], max(_PIECE_CHARACTERS[0], size // _HELD_OUT_EVERY))
    ends = (PARAGRAPHS, LINES, SENTENCES, WORDS)
    return [piece for text in texts for piece in cut_text(text.text, longest, ends)]


def _mix(
    pieces: list[str], language: str, seed: int, with_starter: bool
) -> tuple[Corpus, list[str]]:
    """The user's pieces, with as much of the starter corpus, and the user's held-out texts."""
    pieces = list(pieces)
    random.Random(seed).shuffle(pieces)  # noqa: S311
    count = len(pieces) // _HELD_OUT_EVERY
    count = min(_HELD_OUT_PIECES[-1], max(_HELD_OUT_PIECES[0], count))
    own, mine = pieces[:count], make_source(pieces[count:])
    digest = hashlib.sha256("\0".join(pieces).encode()).hexdigest()
    if not with_starter:
        return Corpus([mine], own, digest), own
    starter = load_corpus([starter_file(language)], STARTER_SEED)
    share = min(1.0, len(mine.tokens) / sum(len(s.tokens) for s in starter.sources))
    sources = [mine, *(replace(source, share=share) for source in starter.sources)]
    others = _as_much(starter.held_out, sum(map(len, own)))
    return Corpus(sources, own + others, f"{digest} {starter.fingerprint}"), own


def _as_much(texts: list[str], characters: int) -> list[str]:
    """The first texts, one at least, up to about this many characters."""
    kept: list[str] = []
    for text in texts:
        if kept and sum(map(len, kept)) >= characters:
            break
        kept.append(text)
    return kept


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
