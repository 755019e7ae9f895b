"""Text files to tokenized documents, and the vocabulary that they need.

Documents end with a line `<|endoftext|>`; a file without such lines is one document. Long ones are
cut, at line ends where there are any. The tokens of a file are cached under the hash of its
content.
"""

import hashlib
import lzma
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config import paths
from config.errors import AfterwordError, InputError
from model.data.cutting import LINES, SENTENCES, WORDS, cut_text
from model.data.plain_text import Text, decode, read_bytes
from model.data.user_texts import read_user_text
from model.text.spoken_form import to_spoken_form
from model.text.tokenizer import END_OF_TEXT, encode, load_encoding
from model.text.vocabulary import SINGLE_BYTES, Vocabulary

_SEPARATOR = "<|endoftext|>"
_MAX_DOCUMENT_CHARACTERS = 16_000
_HELD_OUT_SHARE = 0.01  # of the documents of each file, for validation
_MAX_HELD_OUT_DOCUMENTS = 32
_HELD_OUT_CHARACTERS = 1_500  # of each held-out document
_SOLE_DOCUMENT_PIECES = 20  # a file of one document is cut, so that some can be held out
_READ_AS_PAGES = (".epub", ".html", ".htm", ".xhtml")  # others may hold several documents

MIN_CHARACTERS = 4_900
"""Fewer teach nothing. Told as "about 5,000", since blanks are lost when a text is read and cut."""

MAX_REASONS = 10  # in one error

Tokens = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class CorpusFile:
    """A file to train on.

    Attributes:
        path: .txt, .md or .txt.xz, read as they are; HTML or an e-book.
        share: the part of its documents, 0 to 1, that each pass over the corpus draws.
    """

    path: Path
    share: float = 1.0


@dataclass(frozen=True)
class Source:
    """The training documents of one file.

    Attributes:
        documents: their texts.
        tokens: (N,) cl100k_base ids of all documents, `<|endoftext|>` after each.
        starts: (documents + 1,) where each document begins in `tokens`.
        share: see CorpusFile.
        spoken: False if no opening is written in spoken form.
    """

    documents: list[str]
    tokens: Tokens
    starts: npt.NDArray[np.int64]
    share: float
    spoken: bool = True


@dataclass(frozen=True)
class Corpus:
    """The texts of a training.

    Attributes:
        sources: the training documents, file by file.
        held_out: texts for validation, never trained on.
        fingerprint: changes when the texts or shares do.
        notes: what is worth telling about how they were read, a sentence for each.
        errors: one for each file that was left out.
    """

    sources: list[Source]
    held_out: list[str]
    fingerprint: str
    notes: list[str] = field(default_factory=list)
    errors: list[AfterwordError] = field(default_factory=list)


def parse_corpus_file(argument: str) -> CorpusFile:
    """Parse an argument such as `stories.txt` or `tales.txt@0.2`.

    Raises:
        InputError: the share is not between 0 and 1.
    """
    path, at, share = argument.rpartition("@")
    if not at or Path(argument).exists():
        return CorpusFile(Path(argument))
    try:
        value = float(share)
    except ValueError:
        return CorpusFile(Path(argument))
    if not 0 < value <= 1:
        raise InputError(f"The share in {argument} must be above 0 and at most 1.")
    return CorpusFile(Path(path), value)


def read_text(path: Path) -> Text:
    """The text of a file, unpacked where its name ends with .xz.

    Raises:
        InputError: the file is missing, cannot be unpacked, is no whole e-book, or no text in an
            encoding that can be told.
        MissingPackageError: a package that its format needs is not installed.
    """
    if path.suffix.lower() in _READ_AS_PAGES:
        read = read_user_text(path)
        return Text(read.text, read.note)
    data = read_bytes(path)
    if path.suffix == ".xz":
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError as error:
            raise InputError(f"{path} is not a complete .xz file: {error}.") from error
    return decode(data, path)


def read_documents(path: Path) -> list[str]:
    """The documents of a file: empty ones left out, long ones cut.

    Raises:
        InputError: see read_text; or the file holds no text.
        MissingPackageError: see read_text.
    """
    return _documents(read_text(path).text, path)


def _documents(text: str, path: Path) -> list[str]:
    lines = f"\n{text}\n"
    parts = (part.strip() for part in lines.split(f"\n{_SEPARATOR}\n"))
    whole = [part for part in parts if part]
    longest = _MAX_DOCUMENT_CHARACTERS
    if len(whole) == 1:
        longest = min(longest, max(500, len(whole[0]) // _SOLE_DOCUMENT_PIECES))
    ends = (LINES, SENTENCES, WORDS)
    documents = [piece for document in whole for piece in cut_text(document, longest, ends)]
    if not documents:
        raise InputError(f"The text file {path} holds no text.")
    return documents


def load_corpus(files: Sequence[CorpusFile], seed: int, *, partial: bool = False) -> Corpus:
    """Read and tokenize the files; which documents are held out depends on `seed`.

    Args:
        files: the files.
        seed: of the order of the documents.
        partial: leave out files that cannot be used, and go on as long as one can.

    Raises:
        AfterwordError: a file (with `partial`: every file) cannot be used, or all of them hold too
            little text.
    """
    read, notes, errors = _read_files(files)
    if errors and not (read and partial):
        raise all_unusable(errors)
    sources, held_out = [], []
    digest = hashlib.sha256()
    for file, documents in read:
        digest.update(f"{file.share} {len(documents)}".encode())
        for document in documents:
            digest.update(document.encode())
        kept_back, documents = hold_out(documents, seed)
        held_out += kept_back
        sources.append(make_source(documents, file.share))
    if not held_out and len(sources) > 1:  # files of one document each: one of them is held out
        held_out = [document[:_HELD_OUT_CHARACTERS] for document in sources.pop().documents]
    _refuse_too_little(read, sources)
    return Corpus(sources, held_out, digest.hexdigest(), notes, errors)


def hold_out(documents: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """The beginnings of a few documents, for validation, and the others; a sole one is no such."""
    shuffled = list(documents)
    random.Random(seed).shuffle(shuffled)  # noqa: S311
    if len(shuffled) < 2:
        return [], shuffled
    count = min(_MAX_HELD_OUT_DOCUMENTS, max(1, round(_HELD_OUT_SHARE * len(shuffled))))
    return [document[:_HELD_OUT_CHARACTERS] for document in shuffled[:count]], shuffled[count:]


def _read_files(
    files: Iterable[CorpusFile],
) -> tuple[list[tuple[CorpusFile, list[str]]], list[str], list[AfterwordError]]:
    """The files that can be used with their documents, notes, and errors of the others."""
    read: list[tuple[CorpusFile, list[str]]] = []
    notes: list[str] = []
    errors: list[AfterwordError] = []
    for file in files:
        try:
            text = read_text(file.path)
            read.append((file, _documents(text.text, file.path)))
        except AfterwordError as error:
            errors.append(error)
        else:
            notes += [f"{file.path}: {text.note}"] if text.note else []
    return read, notes, errors


def all_unusable(errors: Sequence[AfterwordError]) -> AfterwordError:
    """The error for texts of which none can be used: the only one, or all reasons in one."""
    if len(errors) == 1:
        return errors[0]
    kinds = {type(error) for error in errors}
    kind = kinds.pop() if len(kinds) == 1 else InputError
    more = len(errors) - MAX_REASONS
    rest = [f"And {more:,} more cannot be used."] if more > 0 else []
    return kind(" ".join(map(str, [*errors[:MAX_REASONS], *rest])))


def _refuse_too_little(
    read: Sequence[tuple[CorpusFile, list[str]]], sources: Sequence[Source]
) -> None:
    characters = sum(len(document) for _, documents in read for document in documents)
    if characters < MIN_CHARACTERS:
        names = ", ".join(str(file.path) for file, _ in read)
        tokens = sum(len(source.tokens) for source in sources)
        raise InputError(
            f"The corpus ({names}) is too small: {tokens} tokens, {characters:,} characters; at "
            "least about 5,000 characters are needed."
        )


def make_source(documents: list[str], share: float = 1.0) -> Source:
    """Tokenize documents, or take their tokens from the cache."""
    digest = hashlib.sha256(b"cl100k_base")
    for document in documents:
        digest.update(document.encode() + b"\xff")
    cached = paths.cache_folder() / "tokens" / f"{digest.hexdigest()}.npy"
    tokens = _load_tokens(cached, len(documents))
    if tokens is None:
        encoding = load_encoding()
        ids = ([*encode(encoding, document), END_OF_TEXT] for document in documents)
        tokens = np.concatenate([np.array(part, dtype=np.uint32) for part in ids])
        _save_tokens(cached, tokens)
    ends = np.flatnonzero(tokens == END_OF_TEXT) + 1
    return Source(documents, tokens, np.concatenate([[0], ends]), share)


def _load_tokens(path: Path, documents: int) -> Tokens | None:
    """Tokens (N,) from the cache; None if the file is missing or damaged."""
    try:
        tokens: Tokens = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = tokens.dtype == np.uint32 and int((tokens == END_OF_TEXT).sum()) == documents
    return tokens if whole else None


def _save_tokens(path: Path, tokens: Tokens) -> None:
    """Write tokens to the cache; a failure only costs time on the next start."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            np.save(file, tokens)
        Path(file.name).replace(path)
    except OSError:
        return


def choose_vocabulary(
    corpus: Corpus, among: Vocabulary, minimum: int, size: int | None = None
) -> Vocabulary:
    """The ids of `among` that the files or their spoken openings use at least `minimum` times.

    With a size, more are added up to it: the commonest in the files, then those that are merged
    first, which are the commonest in other texts. The merge order is that of `among`.
    """
    counts = np.zeros(among.size, dtype=np.int64)  # (V,)
    for source in corpus.sources:
        counts += np.bincount(among.compact(source.tokens), minlength=among.size)
        for document in source.documents:
            np.add.at(counts, among.encode(to_spoken_form(document[:80])), 1)
    counts[:SINGLE_BYTES] = counts[among.end] = np.iinfo(np.int64).max  # always kept
    order = among.merge_order
    counts = counts[np.searchsorted(among.kept, order)]
    commonest = np.argsort(-counts, kind="stable")  # ties stay in the merge order
    enough = int((counts >= minimum).sum())
    chosen = np.sort(commonest[: max(enough, size or 0)])
    return Vocabulary(int(i) for i in order[chosen])
