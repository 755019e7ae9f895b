"""Text files to tokenized documents, and the vocabulary that they need.

Documents end with a line `<|endoftext|>`; a file without such lines is one document. Long ones are
cut at line ends. The tokens of a file are cached under the hash of its content.
"""

import hashlib
import lzma
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config import paths
from config.errors import InputError
from model.text.spoken_form import to_spoken_form
from model.text.tokenizer import END_OF_TEXT, load_encoding
from model.text.vocabulary import SINGLE_BYTES, Vocabulary

_SEPARATOR = "<|endoftext|>"
_MAX_DOCUMENT_CHARACTERS = 16_000
_HELD_OUT_SHARE = 0.01  # of the documents of each file, for validation
_MAX_HELD_OUT_DOCUMENTS = 32
_HELD_OUT_CHARACTERS = 1_500  # of each held-out document
_SOLE_DOCUMENT_PIECES = 20  # a file of one document is cut, so that some can be held out
_MIN_TOKENS = 1_000  # fewer teach nothing

Tokens = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class CorpusFile:
    """A file to train on.

    Attributes:
        path: .txt, .md or .txt.xz, in UTF-8.
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
    """

    documents: list[str]
    tokens: Tokens
    starts: npt.NDArray[np.int64]
    share: float


@dataclass(frozen=True)
class Corpus:
    """The texts of a training.

    Attributes:
        sources: the training documents, file by file.
        held_out: texts for validation, never trained on.
        fingerprint: changes when the texts or shares do.
    """

    sources: list[Source]
    held_out: list[str]
    fingerprint: str


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


def read_text(path: Path) -> str:
    """The text of a file, unpacked where its name ends with .xz.

    Raises:
        InputError: the file is missing, cannot be unpacked, or is not UTF-8 (names the byte).
    """
    try:
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"The text file {path} is missing.") from error
    except lzma.LZMAError as error:
        raise InputError(f"{path} is not a complete .xz file: {error}.") from error
    except OSError as error:
        raise InputError(f"The text file {path} cannot be read: {error.strerror}.") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 at byte {error.start}; convert it, for example with iconv."
        ) from error


def read_documents(path: Path) -> list[str]:
    """The documents of a file: empty ones left out, long ones cut at line ends.

    Raises:
        InputError: see read_text; or the file holds no text.
    """
    lines = f"\n{read_text(path)}\n"
    parts = (part.strip() for part in lines.split(f"\n{_SEPARATOR}\n"))
    whole = [part for part in parts if part]
    longest = _MAX_DOCUMENT_CHARACTERS
    if len(whole) == 1:
        longest = min(longest, max(500, len(whole[0]) // _SOLE_DOCUMENT_PIECES))
    documents = [piece for document in whole for piece in _cut(document, longest)]
    if not documents:
        raise InputError(f"The text file {path} holds no text.")
    return documents


def _cut(document: str, longest: int) -> list[str]:
    """A document in pieces of whole lines, of at most `longest` characters where lines allow."""
    if len(document) <= longest:
        return [document]
    pieces = [""]
    for line in document.splitlines(keepends=True):
        if pieces[-1] and len(pieces[-1]) + len(line) > longest:
            pieces.append("")
        pieces[-1] += line
    return [piece.strip() for piece in pieces if piece.strip()]


def load_corpus(files: Sequence[CorpusFile], seed: int) -> Corpus:
    """Read and tokenize the files; which documents are held out depends on `seed`.

    Raises:
        InputError: a file cannot be used, or all of them hold too little text.
    """
    sources, held_out = [], []
    digest = hashlib.sha256()
    for file in files:
        documents = read_documents(file.path)
        digest.update(f"{file.share} {len(documents)}".encode())
        for document in documents:
            digest.update(document.encode())
        random.Random(seed).shuffle(documents)  # noqa: S311
        count = min(_MAX_HELD_OUT_DOCUMENTS, max(1, round(_HELD_OUT_SHARE * len(documents))))
        if len(documents) > 1:
            held_out += [document[:_HELD_OUT_CHARACTERS] for document in documents[:count]]
            documents = documents[count:]
        sources.append(_tokenize(documents, file.share))
    total = sum(len(source.tokens) for source in sources)
    if total < _MIN_TOKENS or not held_out:
        names = ", ".join(str(file.path) for file in files)
        raise InputError(
            f"The corpus ({names}) is too small: {total} tokens in "
            f"{sum(len(s.documents) for s in sources)} documents to train on; at least "
            f"{_MIN_TOKENS} tokens and 2 documents, parted by lines {_SEPARATOR}, are needed."
        )
    return Corpus(sources, held_out, digest.hexdigest())


def _tokenize(documents: list[str], share: float) -> Source:
    digest = hashlib.sha256(b"cl100k_base")
    for document in documents:
        digest.update(document.encode() + b"\xff")
    cached = paths.cache_folder() / "tokens" / f"{digest.hexdigest()}.npy"
    tokens = _load_tokens(cached, len(documents))
    if tokens is None:
        encoding = load_encoding()
        ids: list[int] = []
        for document in documents:
            ids += encoding.encode_ordinary(document)
            ids.append(END_OF_TEXT)
        tokens = np.array(ids, dtype=np.uint32)
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
