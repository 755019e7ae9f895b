"""Bare `python -m model.train`: refresh the weights of a language from the user's own texts.

The texts lie in `$XDG_DATA_HOME/afterword/corpus`. Half of what is trained on comes from a starter
corpus, a little of what the shipped weights learned from, so that the language is not forgotten.
The weights in use are the start; new ones take their place only if they predict held-out texts,
half of them the user's, better. All that a stopped training needs lies in a folder of its own.
"""

import fcntl
import json
import math
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from config import paths
from config.errors import InputError, MissingPackageError, OutputError, RefusedError
from config.load import load
from config.settings import Settings
from model.checkpoints.store import find_weights, own_weights
from model.checkpoints.weights_file import Weights, load_weights, publish_weights
from model.data import corpus as corpora
from model.data.user_texts import SUFFIXES, UserText, find_user_texts, read_user_text
from model.device import choose_device, faster_with_bfloat16
from model.loss import batch_loss
from model.train.log import open_log
from model.train.report import make_samples, write_report
from model.train.trainer import SPOKEN_OPENINGS, Trainer, TrainOptions

_PASSES = 3  # over the user's texts
_FEWEST_STEPS = 30
_MOST_MINUTES = 30.0  # unless the user says otherwise
_VALIDATIONS = 8
_PIECE = range(500, 2001)  # characters of a document to train on
_FEWEST_PIECES = 6
_HELD_OUT_PART = 20  # one piece in so many ...
_HELD_OUT = range(2, 33)  # ... but so many pieces at least and at most
_LENGTH = "length.json"  # how long a training is to be, for going on
_SENTENCE = re.compile(r".+?(?:[.!?][\"”’']*\s+|[。！？][”’」』]*|\n|$)", re.S)

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Refresh:
    """One refreshing, as it is to be or to go on.

    Attributes:
        options: for the trainer; `out` is the training's own folder.
        corpus: the user's texts and the starter corpus.
        own: held-out texts of the user, the first of `corpus.held_out`.
        start: the weights it began with, a copy.
        configured: whether the settings name a weights file, which then stays in use.
    """

    options: TrainOptions
    corpus: corpora.Corpus
    own: list[str]
    start: Path
    configured: bool


def corpus_folder() -> Path:
    """Where users put their texts."""
    return paths.data_folder() / "corpus"


def training_folder(language: str) -> Path:
    """Where a training of ours keeps what it needs to go on, and its report."""
    return paths.data_folder() / "training" / language


@contextmanager
def planned(given: dict[str, Any], tell: Tell) -> Iterator[Refresh]:
    """Read the texts, decide how long to train, tell the user; no other may train meanwhile.

    Args:
        given: what the command line says; see TrainOptions.
        tell: receives a line at a time.

    Raises:
        InputError: there are no texts, too few, or one cannot be read.
        WeightsError: the weights to start from cannot be used.
        OutputError: a folder cannot be written.
        RefusedError: another process trains this language.
    """
    settings = load(None, [f"language={given['language']}"] if given["language"] else []).settings
    folder = training_folder(settings.language)
    with _held(folder):
        yield _plan(given, settings, folder, tell)


def _plan(given: dict[str, Any], settings: Settings, folder: Path, tell: Tell) -> Refresh:
    language = settings.language
    resumes = (folder / "last.pt").is_file()
    pieces = _read_pieces(language, tell)
    start = folder / "start.safetensors"
    if not resumes:
        source = given["init_from"] or find_weights(language, settings.model.weights)
        _begin_folder(folder, Path(source), start)
        tell(f"Starting from {source}.")
    weights = load_weights(start)
    corpus, own = _mix(pieces, language, folder, given["seed"])
    options = _options(given, weights, language, folder, resumes)
    if resumes:
        tell(f"Going on with the training in {folder}; delete that folder to begin anew.")
        length = json.loads((folder / _LENGTH).read_text())
        if options.steps is None and options.minutes is None:
            options = replace(options, steps=length["steps"], minutes=length["minutes"])
        options = replace(options, validate_every=length["validate_every"])
    else:
        options = _with_length(options, corpus, weights, tell)
    return Refresh(options, corpus, own, start, settings.model.weights is not None)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A lock for a training folder, which the system frees however we end."""
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
            told = f"Another process trains in {folder}; wait for it, or stop it."
            raise RefusedError(told) from error
        yield


def begin(refresh: Refresh, trainer: Trainer) -> None:
    """Score the weights as they are, so that only better ones can replace them."""
    if trainer.step == 0:
        with open_log(refresh.options.folder, tensorboard=False) as record:
            record(trainer.validate())


def finish(refresh: Refresh, tell: Tell) -> None:
    """Put better weights where the daemon finds them, write the report, tidy up.

    Raises:
        OutputError: a file cannot be written.
    """
    options = refresh.options
    before, after = load_weights(refresh.start), load_weights(options.weights_path)
    log = _read_log(options.folder / "log.jsonl")
    first, best = log[0]["bits_per_byte"], min(entry["bits_per_byte"] for entry in log)
    if best < first:
        place = own_weights(options.language)
        publish_weights(place, after)
        summary = (
            f"Held-out texts went from {first:.4f} to {best:.4f} bits/byte; the new weights are in "
            f"{place}; `afterword weights` lists those that you can go back to."
        )
    else:
        summary = f"Nothing was better than before ({first:.4f} bits/byte); the weights stay."
    tell(summary)
    if best < first and refresh.configured:
        tell("Your settings name other weights (model.weights); remove that to use these.")
    samples = make_samples(before, after, options.language, refresh.own)
    try:
        tell(f"Report: {write_report(options.folder, samples, summary)}")
    except MissingPackageError as error:
        tell(f"No report: {error}")
    for name in ("last.pt", _LENGTH, "texts.txt", refresh.start.name, options.weights_path.name):
        (options.folder / name).unlink(missing_ok=True)


def _read_log(path: Path) -> list[dict[str, Any]]:
    """The validations of a training, oldest first."""
    lines = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if "bits_per_byte" in line]


def _read_pieces(language: str, tell: Tell) -> list[str]:
    """The user's texts in pieces; tells what was read."""
    folder = corpus_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    found, left_out = find_user_texts(folder, language)
    if not found:
        raise InputError(
            f"There are no texts in {folder} yet; put some there ({', '.join(SUFFIXES)}), or name "
            "them with --corpus and a folder with --out."
        )
    books = [read_user_text(path) for path in found]
    for book in books:
        tell(f"  {book.path.relative_to(folder)}: {len(book.text):,} characters")
    for path in left_out:
        tell(f"  {path.relative_to(folder)}: left out, it is none of {', '.join(SUFFIXES)}")
    pieces = cut(books)
    if len(pieces) < _FEWEST_PIECES:
        raise InputError(
            f"The texts in {folder} hold {sum(len(b.text) for b in books):,} characters; at least "
            "about 5,000 are needed."
        )
    return pieces


def cut(books: Sequence[UserText]) -> list[str]:
    """The books in twenty or more pieces, of 500 to 2,000 characters, of whole sentences."""
    size = sum(len(book.text) for book in books)
    most = min(_PIECE[-1], max(_PIECE[0], size // _HELD_OUT_PART))
    pieces = []
    for book in books:
        piece = ""
        for part in _parts(book.text, most):
            if piece and len(piece) + len(part) > most:
                pieces.append(piece.strip())
                piece = ""
            piece += part
        pieces.append(piece.strip())
    return [piece for piece in pieces if piece]


def _parts(text: str, most: int) -> Iterator[str]:
    """Paragraphs with the empty line after each; the sentences of one that is too long."""
    for paragraph in text.split("\n\n"):
        if len(paragraph) <= most:
            yield paragraph + "\n\n"
        else:
            yield from _SENTENCE.findall(paragraph)
            yield "\n\n"


def _mix(
    pieces: list[str], language: str, folder: Path, seed: int
) -> tuple[corpora.Corpus, list[str]]:
    """Corpus of the user's pieces and as much of the starter; the user's held-out texts."""
    pieces = list(pieces)
    random.Random(seed).shuffle(pieces)  # noqa: S311
    count = min(_HELD_OUT[-1], max(_HELD_OUT[0], len(pieces) // _HELD_OUT_PART))
    own, rest = pieces[:count], pieces[count:]
    texts = folder / "texts.txt"
    try:
        texts.write_text("\n<|endoftext|>\n".join(rest) + "\n", "utf-8")
    except OSError as error:
        raise OutputError(f"{texts} cannot be written: {error.strerror}.") from error
    mine = corpora.load_corpus([corpora.CorpusFile(texts)], seed)
    own += mine.held_out
    starter_file = Path(str(resources.files("model").joinpath("starter", f"{language}.txt.xz")))
    starter = corpora.load_corpus([corpora.CorpusFile(starter_file)], seed)
    share = min(1.0, _size(mine) / _size(starter))
    sources = [*mine.sources, *(replace(source, share=share) for source in starter.sources)]
    kept = _as_much(starter.held_out, sum(map(len, own)))
    fingerprint = f"{mine.fingerprint} {starter.fingerprint}"
    return corpora.Corpus(sources, own + kept, fingerprint), own


def _size(corpus: corpora.Corpus) -> int:
    """Tokens to train on."""
    return sum(len(source.tokens) for source in corpus.sources)


def _as_much(texts: list[str], characters: int) -> list[str]:
    """The first texts, about so many characters of them, one at least."""
    kept: list[str] = []
    for text in texts:
        if kept and sum(map(len, kept)) >= characters:
            break
        kept.append(text)
    return kept


def _begin_folder(folder: Path, source: Path, start: Path) -> None:
    """An empty training folder with a copy of the weights to start from."""
    load_weights(source)  # what cannot be used is told before anything is removed
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.is_file():
                old.unlink()
        shutil.copyfile(source, start)
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be written: {error.strerror}.") from error


def _options(
    given: dict[str, Any], weights: Weights, language: str, folder: Path, resumes: bool
) -> TrainOptions:
    told = {
        "language": language,
        "corpus": (),
        "out": folder,
        "init_from": folder / "start.safetensors",
        "resume": resumes,
        "spoken_openings": given["spoken_openings"]
        if given["spoken_openings"] is not None
        else SPOKEN_OPENINGS[language],
        "provenance": f"{weights.provenance} Refreshed with texts of the user.".strip(),
    }
    return TrainOptions(**{**given, **told})


def _with_length(
    options: TrainOptions, corpus: corpora.Corpus, weights: Weights, tell: Tell
) -> TrainOptions:
    """The options with a length that suits the texts, if none is given; tells how long it takes."""
    tokens = sum(len(source.tokens) * source.share for source in corpus.sources)
    in_step = options.batch * options.accumulate * weights.model.config.context_length
    seconds = options.accumulate * seconds_per_batch(options, weights)
    steps = options.steps or max(_FEWEST_STEPS, math.ceil(_PASSES * tokens / in_step))
    minutes = steps * seconds / 60
    if options.minutes is not None or (options.steps is None and minutes > _MOST_MINUTES):
        minutes = options.minutes or _MOST_MINUTES
        options = replace(options, minutes=minutes, steps=None)
        steps = max(1, int(60 * minutes / seconds))
    else:
        options = replace(options, steps=steps)
    every = max(1, min(options.validate_every, steps // _VALIDATIONS))
    tell(
        f"About {steps} steps, {steps * in_step / tokens:.1f} passes over your texts and as much "
        f"of the starter corpus; some {max(1, round(minutes))} minutes, and the validations. "
        "Ctrl-C stops it at any time; the same command goes on."
    )
    length = {"steps": options.steps, "minutes": options.minutes, "validate_every": every}
    (options.folder / _LENGTH).write_text(json.dumps(length))
    return replace(options, validate_every=every)


def seconds_per_batch(options: TrainOptions, weights: Weights) -> float:
    """How long a batch takes here, measured on one; the weights stay as they are."""
    device = choose_device(options.device)
    model = weights.model.to(device)
    shape = (options.batch, model.config.context_length + 1)
    rows = torch.randint(model.config.vocabulary_size, shape, device=device)  # (B, T + 1)
    bf16 = options.precision == "bf16"
    bf16 = bf16 or (options.precision == "auto" and faster_with_bfloat16(device))
    seconds = math.inf
    for _ in range(2):  # the first is slower
        began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = batch_loss(model, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        seconds = min(seconds, time.perf_counter() - began)
    model.zero_grad()
    return seconds
