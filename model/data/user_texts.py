"""The user's own texts as plain paragraphs: .txt, Markdown and e-books (EPUB), for training.

Hard line breaks within paragraphs are removed, since the end of a line ends a spoken sentence;
lines of poems stay. markdown-it-py reads Markdown, Beautiful Soup HTML; both are extras.
"""

import re
import statistics
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from config.errors import InputError, MissingPackageError
from config.installation import add_extra_command
from config.languages import LANGUAGES
from model.data.corpus import read_text

SUFFIXES = (".txt", ".md", ".markdown", ".epub")

_MAX_CHAPTER_BYTES = 20 * 2**20  # unpacked
_MAX_BOOK_BYTES = 200 * 2**20
_WRAPPED_LINE_CHARACTERS = range(45, 100)  # median line length of hard-wrapped text
_GUTENBERG_START = re.compile(r"^\*\*\* ?START OF TH.*$", re.M)
_GUTENBERG_END = re.compile(r"^\*\*\* ?END OF TH.*$", re.M)
_BLOCKS = [
    "p",
    "li",
    "dt",
    "dd",
    "blockquote",
    "div",
    "section",
    "article",
    "hr",
    *(f"h{n}" for n in range(1, 7)),
]
_UNREAD = ["script", "style", "head", "nav", "table", "figure", "sup", "pre", "code"]


@dataclass(frozen=True)
class UserText:
    """The text of one file: paragraphs separated by empty lines."""

    path: Path
    text: str


def find_user_texts(folder: Path, language: str) -> tuple[list[Path], list[Path]]:
    """The files to read for a language, and the files of other kinds, which are left out.

    Files below a folder `en` or `zh` belong to that language, all others to every language.
    """
    other = {name for name in LANGUAGES if name != language}
    found: list[Path] = []
    left_out: list[Path] = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") for part in parts):
            continue
        if not other & set(parts[:-1]):
            (found if path.suffix.lower() in SUFFIXES else left_out).append(path)
    return found, left_out


def read_user_text(path: Path) -> UserText:
    """Read one file.

    Raises:
        InputError: the file is missing, not UTF-8, or no complete e-book.
        MissingPackageError: a package that its format needs is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".epub":
        text = "\n\n".join(_paragraphs_of_html(page) for page in _pages(path))
    elif suffix in (".md", ".markdown"):
        text = _paragraphs_of_html(_rendered(read_text(path)))
    else:
        text = _unwrapped(_without_licence(read_text(path)))
    return UserText(path, text.strip())


def _without_licence(text: str) -> str:
    """The text between Project Gutenberg's marks, if there are any."""
    if start := _GUTENBERG_START.search(text):
        text = text[start.end() :]
    if end := _GUTENBERG_END.search(text):
        text = text[: end.start()]
    return text


def _unwrapped(text: str) -> str:
    """Hard-wrapped paragraphs on one line each; other text as it is."""
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]
    broken = [len(line) for p in paragraphs for line in p.splitlines()[:-1]]
    if broken and int(statistics.median(broken)) in _WRAPPED_LINE_CHARACTERS:
        paragraphs = [" ".join(p.split()) for p in paragraphs]
    return "\n\n".join(paragraphs)


def _rendered(markdown: str) -> str:
    """Markdown as HTML; raw HTML in it becomes text."""
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise _missing("Markdown", "markdown-it-py") from error
    without_header = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.S)
    return str(MarkdownIt("commonmark", {"html": False}).render(without_header))


def _paragraphs_of_html(page: str | bytes) -> str:
    soup = _soup(page)
    for tag in soup(_UNREAD):
        tag.decompose()
    for words in soup(string=lambda text: type(text) is _bs4().NavigableString):  # no comments
        words.replace_with(re.sub(r"\s+", " ", words))
    for tag in soup("br"):
        tag.replace_with("\n")
    for tag in soup(_BLOCKS):
        tag.insert_before("\n\n")
        tag.insert_after("\n\n")
    paragraphs = re.split(r"\n\s*\n", soup.get_text())
    lines = ("\n".join(" ".join(line.split()) for line in p.splitlines()) for p in paragraphs)
    return "\n\n".join(line.strip() for line in lines if line.strip())


def _bs4() -> Any:
    try:
        import bs4
    except ImportError as error:
        raise _missing("E-books and Markdown", "beautifulsoup4") from error
    return bs4


def _soup(page: str | bytes) -> Any:
    bs4 = _bs4()
    with warnings.catch_warnings():  # pages of e-books are XML, which is near enough
        warnings.simplefilter("ignore", bs4.XMLParsedAsHTMLWarning)
        warnings.simplefilter("ignore", bs4.MarkupResemblesLocatorWarning)
        return bs4.BeautifulSoup(page, "html.parser")


def _missing(what: str, package: str) -> MissingPackageError:
    return MissingPackageError(f"{what} need {package}; `{add_extra_command('train')}` brings it.")


def _pages(path: Path) -> Iterator[bytes]:
    """The chapters of an EPUB, in reading order: https://www.w3.org/TR/epub-33/."""
    try:
        with zipfile.ZipFile(path) as book:
            if sum(info.file_size for info in book.infolist()) > _MAX_BOOK_BYTES:
                raise InputError(f"The e-book {path} is too large to be one.")
            yield from _chapters(book, path)
    except (OSError, zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is no whole e-book (EPUB): {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    return str(error).strip("'\"").rstrip(".") or type(error).__name__


def _chapters(book: zipfile.ZipFile, path: Path) -> Iterator[bytes]:
    container = _soup(_part(book, "META-INF/container.xml")).find("rootfile")
    package = str(container["full-path"]) if container else ""
    described = _soup(_part(book, package))
    items = {item["id"]: item for item in described("item") if item.get("href")}
    chapters = [items[ref["idref"]] for ref in described("itemref") if ref.get("idref") in items]
    if not chapters:
        raise InputError(f"The e-book {path} lists no chapters.")
    places = [str(PurePosixPath(package).parent / unquote(str(i["href"]))) for i in chapters]
    if _encrypted(book) & set(places):
        raise InputError(f"The e-book {path} is encrypted; only books without DRM can be read.")
    for place in places:
        yield _part(book, place)


def _encrypted(book: zipfile.ZipFile) -> set[str]:
    """Names of the encrypted parts; often these are only fonts."""
    name = "META-INF/encryption.xml"
    if name not in book.namelist():
        return set()
    return set(re.findall(r'URI="([^"]+)"', _part(book, name).decode("utf-8", "replace")))


def _part(book: zipfile.ZipFile, name: str) -> bytes:
    with book.open(name) as file:
        return file.read(_MAX_CHAPTER_BYTES)
