"""Text files to token batches: documents, a compact vocabulary, packed sequences.

Documents end with a line `<|endoftext|>`; a file without such lines is one document. Long ones are
cut at line ends. The tokens of a file are kept in the cache folder under the hash of its content.
"""

import hashlib
import lzma
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from config import paths
from config.errors import InputError
from model.text.spoken_form import to_spoken_form, with_spoken_opening
from model.text.tokenizer import END_OF_TEXT, load_encoding
from model.text.vocabulary import SINGLE_BYTES, Vocabulary

_SEPARATOR = "<|endoftext|>"
_LONGEST_DOCUMENT = 16_000  # characters
_HELD_OUT_SHARE = 0.01  # of the documents of each file, for validation
_HELD_OUT_MOST = 32
_HELD_OUT_LENGTH = 1_500  # characters of each
_SOLE_DOCUMENT_PIECES = 20  # a file of one document is cut, so that some can be held out
_MIN_TOKENS = 1_000  # fewer teach nothing

Tokens = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class CorpusFile:
    """A file to train on.

    Attributes:
        path: .txt, .md or .txt.xz, in UTF-8.
        share: the part of its documents, 0 to 1, that each pass over the corpus uses; every pass
            draws them anew.
    """

    path: Path
    share: float = 1.0


@dataclass(frozen=True)
class Source:
    """The training documents of one file.

    Attributes:
        documents: their texts.
        tokens: (N,) their cl100k_base ids one after another, `<|endoftext|>` after each.
        starts: (documents + 1,) where each begins in `tokens`.
        share: see CorpusFile.
    """

    documents: list[str]
    tokens: Tokens
    starts: npt.NDArray[np.int64]
    share: float


@dataclass(frozen=True)
class Corpus:
    """What to train on and what to hold out.

    Attributes:
        sources: the training documents, file by file.
        held_out: texts for validation, never trained on.
        fingerprint: changes when the texts or shares do.
    """

    sources: list[Source]
    held_out: list[str]
    fingerprint: str


def parse_corpus_file(argument: str) -> CorpusFile:
    """`stories.txt` or `tales.txt@0.2` to a CorpusFile.

    Raises:
        InputError: the share is not within 0 and 1.
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
        InputError: it is missing, cannot be unpacked, or is not UTF-8 (with the place).
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
    """The documents of a file, without empty ones, long ones cut at line ends.

    Raises:
        InputError: see read_text; or the file holds no text.
    """
    lines = f"\n{read_text(path)}\n"
    parts = (part.strip() for part in lines.split(f"\n{_SEPARATOR}\n"))
    whole = [part for part in parts if part]
    longest = _LONGEST_DOCUMENT
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
        count = min(_HELD_OUT_MOST, max(1, round(_HELD_OUT_SHARE * len(documents))))
        if len(documents) > 1:
            held_out += [document[:_HELD_OUT_LENGTH] for document in documents[:count]]
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
        _keep_tokens(cached, tokens)
    ends = np.flatnonzero(tokens == END_OF_TEXT) + 1
    return Source(documents, tokens, np.concatenate([[0], ends]), share)


def _load_tokens(path: Path, documents: int) -> Tokens | None:
    """Tokens from the cache; none where they are not there or not whole."""
    try:
        tokens: Tokens = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = tokens.dtype == np.uint32 and int((tokens == END_OF_TEXT).sum()) == documents
    return tokens if whole else None


def _keep_tokens(path: Path, tokens: Tokens) -> None:
    """A cache that cannot be written costs time on the next start, nothing else."""
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
    """Keep the ids of `among` that the whole files or their spoken openings use often enough.

    With a size, as many more as fit: the commonest in the files, then those that are merged first,
    which are the commonest elsewhere. The order of merging stays that of `among`.
    """
    counts = np.zeros(among.size, dtype=np.int64)
    for source in corpus.sources:
        counts += np.bincount(among.compact(source.tokens), minlength=among.size)
        for document in source.documents:
            np.add.at(counts, among.encode(to_spoken_form(document[:80])), 1)
    counts[:SINGLE_BYTES] = counts[among.end] = np.iinfo(np.int64).max  # these are kept in any case
    order = among.merge_order
    counts = counts[np.searchsorted(among.kept, order)]
    commonest = np.argsort(-counts, kind="stable")  # equal ones stay in the order of merging
    enough = int((counts >= minimum).sum())
    chosen = np.sort(commonest[: max(enough, size or 0)])
    return Vocabulary(int(i) for i in order[chosen])


def render_pass(
    corpus: Corpus, vocabulary: Vocabulary, spoken_share: float, seed: int, number: int
) -> npt.NDArray[np.int32]:
    """The compact ids of one pass over the corpus, `<|endoftext|>` before and after each document.

    Order, drawn shares and spoken openings depend on `seed` and the pass's `number` alone.
    """
    rng = random.Random(f"{seed} {number}")  # noqa: S311
    chosen = [
        (source, i)
        for source in corpus.sources
        for i in range(len(source.documents))
        if rng.random() < source.share
    ]
    rng.shuffle(chosen)
    end = np.array([vocabulary.end], dtype=np.int32)
    parts = [end]
    for source, i in chosen:
        if rng.random() < spoken_share:
            opened = with_spoken_opening(source.documents[i], rng)
            parts += [np.array(vocabulary.encode(opened), dtype=np.int32), end]
        else:
            parts.append(vocabulary.compact(source.tokens[source.starts[i] : source.starts[i + 1]]))
    return np.concatenate(parts)


class Batches:
    """Endless batches of sequences, shuffled anew in each pass, resumable at two numbers.

    Attributes:
        number: the current pass over the corpus, from 0.
        position: how many sequences of it have been handed out.
    """

    def __init__(
        self,
        render: Callable[[int], npt.NDArray[np.int32]],
        batch: int,
        context: int,
        seed: int,
        number: int = 0,
        position: int = 0,
    ) -> None:
        self._render = render
        self._batch = batch
        self._context = context
        self._seed = seed
        self.position = position
        self._begin(number)

    def _begin(self, number: int) -> None:
        """Render a pass and cut it into sequences of context + 1 tokens that overlap by one."""
        self.number = number
        self._tokens = self._render(number)
        count = max(1, (len(self._tokens) - 1) // self._context)
        self._order = np.random.default_rng((self._seed, number)).permutation(count)

    def next(self) -> npt.NDArray[np.int64]:
        """The next sequences, (batch, context + 1); inputs and targets are this without an end."""
        rows: list[npt.NDArray[np.int32]] = []
        while len(rows) < self._batch:
            if self.position == len(self._order):
                self.position = 0
                self._begin(self.number + 1)
            at = int(self._order[self.position]) * self._context
            self.position += 1
            row = self._tokens[at : at + self._context + 1]
            rows.append(np.resize(row, self._context + 1))  # repeats where the corpus is shorter
        return np.stack(rows).astype(np.int64)
