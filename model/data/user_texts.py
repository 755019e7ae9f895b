"""The user's own texts as plain paragraphs, for training: text files, Markdown, HTML and e-books.

Hard line breaks within paragraphs are removed, since the end of a line ends a spoken sentence;
lines of poems stay. One that cannot be read is left out and told; the others are read.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import AfterwordError, InputError
from config.languages import LANGUAGES
from model.data.epub import read_epub, read_page
from model.data.gutenberg import without_licence
from model.data.html_text import paragraphs_of_html
from model.data.markdown import paragraphs_of_markdown
from model.data.plain_text import Text, decode, read_bytes, unwrapped

_MARKDOWN = (".md", ".markdown")
_HTML = (".html", ".htm", ".xhtml")
SUFFIXES = (".txt", *_MARKDOWN, *_HTML, ".epub")

_MAX_FILE_BYTES = 50 * 2**20  # of a text; a long novel has 3 MB
_MAX_CHARACTERS = 100_000_000  # of all texts; half an hour of training sees a few million


@dataclass(frozen=True)
class UserText:
    """The text of one file: paragraphs separated by empty lines.

    Attributes:
        note: what is worth telling about how it was read; empty if nothing is.
    """

    path: Path
    text: str
    note: str = ""


@dataclass(frozen=True)
class UserTexts:
    """The texts that could be read, and an error for each file that is left out."""

    texts: list[UserText]
    errors: list[AfterwordError]

    @property
    def characters(self) -> int:
        """Number of characters of all texts."""
        return sum(len(text.text) for text in self.texts)


def find_user_texts(folder: Path, language: str) -> tuple[list[Path], list[Path]]:
    """The files to read for a language, and the files of other kinds, which are left out.

    Files below a folder `en` or `zh` belong to that language, all others to every language. Links
    to folders and files are followed, and nothing is found twice. What cannot be looked at is among
    the files to read, so that reading it tells why.
    """
    other = {name for name in LANGUAGES if name != language}
    found: list[Path] = []
    left_out: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for path in _walk(folder, other, seen, found):
        try:
            status = path.stat()
        except OSError:  # a link to nothing, or to itself
            found.append(path)
            continue
        is_text = path.suffix.lower() in SUFFIXES
        if not _is_new(status, seen):
            continue
        if is_text or stat.S_ISREG(status.st_mode):
            (found if is_text else left_out).append(path)
    return sorted(found), sorted(left_out)


def _walk(
    folder: Path, other: set[str], seen: set[tuple[int, int]], unreadable: list[Path]
) -> Iterator[Path]:
    """The files below a folder, but not in hidden folders, other languages' and those in `seen`."""

    def note(error: OSError) -> None:
        unreadable.append(Path(error.filename))

    for name, folders, files in os.walk(folder, followlinks=True, onerror=note):
        place = Path(name)
        try:
            status = place.stat()
        except OSError as error:  # it has vanished since
            note(error)
            continue
        if not _is_new(status, seen):
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in other)
        yield from (place / file for file in sorted(files) if not file.startswith("."))


def _is_new(status: os.stat_result, seen: set[tuple[int, int]]) -> bool:
    """True if a file or folder is not in `seen` yet, by any name; adds it."""
    place = (status.st_dev, status.st_ino)
    is_new = place not in seen
    seen.add(place)
    return is_new


def read_user_texts(paths: Iterable[Path]) -> UserTexts:
    """Read files; those that cannot be read, hold no text or the text of another are left out."""
    texts: list[UserText] = []
    errors: list[AfterwordError] = []
    places: dict[bytes, Path] = {}
    characters = 0
    for path in paths:
        try:
            text = read_user_text(path)
            if not text.text:
                raise InputError(f"{path} holds no text.")
            first = places.setdefault(hashlib.sha256(text.text.encode()).digest(), path)
            if first != path:
                raise InputError(f"{path} holds the same text as {first}.")
            if characters + len(text.text) > _MAX_CHARACTERS:
                raise InputError(f"{path} is too much: all texts may have 100 million characters.")
        except AfterwordError as error:
            errors.append(error)
        else:
            characters += len(text.text)
            texts.append(text)
    return UserTexts(texts, errors)


def read_user_text(path: Path) -> UserText:
    """Read one file.

    Raises:
        InputError: the file is missing, no text in a known encoding, or no complete e-book.
        MissingPackageError: a package that its format needs is not installed.
    """
    try:
        _check(path)
        read = _read(path)
    except AfterwordError:
        raise
    except Exception as error:  # of a parser, which must not end a run that has other texts
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}.") from error
    return UserText(path, read.text.strip(), read.note)


def _check(path: Path) -> None:
    """Refuse what is no regular file (a FIFO would block) or too large."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        what = "links to a file that is missing" if path.is_symlink() else "is missing"
        raise InputError(f"{path} {what}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if stat.S_ISDIR(status.st_mode):
        if os.access(path, os.R_OK | os.X_OK):
            raise InputError(f"{path} is a folder, no file.")
        raise InputError(f"The folder {path} cannot be read; look at its permissions.")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file.")
    if status.st_size > _MAX_FILE_BYTES and path.suffix.lower() != ".epub":  # read by parts
        raise InputError(f"{path} is larger than {_MAX_FILE_BYTES // 2**20} MB; divide it.")


def _read(path: Path) -> Text:
    suffix = path.suffix.lower()
    if suffix == ".epub":
        book = read_epub(path)
        return Text(without_licence(book.text), book.note)
    if suffix in _HTML:
        page = read_page(read_bytes(path), path)
        return Text(without_licence(paragraphs_of_html(page.text)), page.note)
    file = decode(read_bytes(path), path)
    text = without_licence(file.text)
    return Text(paragraphs_of_markdown(text) if suffix in _MARKDOWN else unwrapped(text), file.note)
