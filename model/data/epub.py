"""Chapters of an e-book (EPUB 2 and 3), in reading order: https://www.w3.org/TR/epub-33/."""

import contextlib
import posixpath
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from config.errors import InputError
from model.data.html_text import find_tags, paragraphs_of_html, parse
from model.data.plain_text import Text, decode

_MAX_PART_BYTES = 20 * 2**20  # unpacked
_MAX_BOOK_CHARACTERS = 50_000_000  # of all pages, with their tags
_PAGES = (".xhtml", ".html", ".htm", ".xml")
_PAGE_TYPES = ("application/x-dtbook+xml", "text/x-oeb1-document")
_VAGUE_TYPES = ("", "text/xml", "application/xml", "text/plain", "application/octet-stream")
_DECLARED = re.compile(rb"""(?:encoding|charset)\s*=\s*["']?\s*([A-Za-z0-9._-]+)""")
_DECLARED_WITHIN_BYTES = 1_024  # as browsers look for it
_MARKED_AS_UTF8 = 0x800  # flag of a part; zipfile reads other names as cp437
_NAME_ENCODINGS = ("utf-8", "gb18030", "cp1252")  # that archivers write without a mark


def read_epub(path: Path) -> Text:
    """The paragraphs of a book; parts that are missing or damaged are left out and noted.

    Raises:
        InputError: it is no EPUB, is encrypted, or no part of it can be read.
        MissingPackageError: Beautiful Soup is not installed.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _read(_Book(file, path), path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(f"{path} is no whole e-book (EPUB): {_reason(error)}.") from error


def read_page(data: bytes, path: Path) -> Text:
    """The text of a file in HTML or XML, in the encoding that it declares.

    Raises:
        InputError: it is no text; names `path`.
    """
    found = _DECLARED.search(data[:_DECLARED_WITHIN_BYTES])
    declared = found[1].decode() if found else ""
    # What could be read as ASCII is not in UTF-16, whatever it says; converted files say so.
    wrong = declared.lower().startswith(("utf-16", "utf-32", "ucs"))
    return decode(data, path, None if wrong else declared)


class _Book:
    """The parts of an open EPUB by name, however the package spells the name."""

    def __init__(self, file: zipfile.ZipFile, path: Path) -> None:
        self._file = file
        self._path = path
        self.names = [info.filename for info in file.infolist() if not info.is_dir()]
        self._exact = {info.filename: info for info in file.infolist()}
        self._similar = {
            _similar(name): info for info in file.infolist() for name in _possible_names(info)
        }

    def has(self, name: str) -> bool:
        """True if there is a part of this name."""
        return name in self._exact or _similar(name) in self._similar

    def part(self, name: str) -> str:
        """The text of a part.

        Raises:
            KeyError: there is none of this name.
            InputError: it is damaged, too large, or no text.
        """
        info = self._exact.get(name) or self._similar[_similar(name)]
        try:
            with self._file.open(info) as file:
                data = file.read(_MAX_PART_BYTES + 1)
        # RuntimeError: it needs a password
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
            raise InputError(f"{name}: {_reason(error)}") from error
        if len(data) > _MAX_PART_BYTES:
            raise InputError(f"{name}: larger than {_MAX_PART_BYTES // 2**20} MB")
        return read_page(data, self._path).text

    def find(self, name: str) -> str | None:
        """The text of a part; None if it is missing or damaged."""
        try:
            return self.part(name)
        except (KeyError, InputError):
            return None


def _read(book: _Book, path: Path) -> Text:
    places = _places(book, path)
    if _encrypted(book) & {_similar(place) for place in places}:
        raise InputError(f"The e-book {path} is encrypted; only books without DRM can be read.")
    texts, missing, damaged, size = [], 0, [], 0
    for place in places:
        try:
            page = book.part(place)
            size += len(page)
            if size > _MAX_BOOK_CHARACTERS:
                raise InputError(f"{place}: the chapters are too large to be a book")
            texts.append(paragraphs_of_html(page, without_contents=True))
        except KeyError:
            missing += 1
        except InputError as error:
            damaged.append(str(error))
    if not texts:
        raise InputError(f"{path} is no whole e-book (EPUB): {damaged[0]}.")
    notes = [f"{missing} of {len(places)} parts missing"] if missing else []
    notes += [f"{len(damaged)} of {len(places)} parts damaged"] if damaged else []
    return Text("\n\n".join(text for text in texts if text), ", ".join(notes))


def _places(book: _Book, path: Path) -> list[str]:
    """Names of the chapters, each once: as the package lists them, else all pages by name."""
    container = parse(book.find("META-INF/container.xml") or "")
    named = [str(tag.get("full-path", "")) for tag in find_tags(container, "rootfile")]
    others = [name for name in book.names if name.lower().endswith(".opf")]
    packages = dict.fromkeys([*(_resolved("", name) for name in named), *others])
    found = {package: text for package in packages if (text := book.find(package))}
    for package, text in found.items():
        places = [_resolved(package, href) for href in _chapters(parse(text))]
        if any(map(book.has, places)):
            return list(dict.fromkeys(places))
    pages = [name for name in book.names if name.lower().endswith(_PAGES[:3])]
    if found and not any(_chapters(parse(text)) for text in found.values()):
        raise InputError(f"The e-book {path} lists no chapters.")
    if not pages:
        raise InputError(f"{path} is no whole e-book (EPUB): it has no chapters.")
    return sorted(pages, key=_natural)


def _chapters(package: Any) -> list[str]:
    """References to the pages in reading order: of the spine, else of the manifest.

    Left out are tables of contents and pictures; what is not in the linear order (cover, notes,
    answers) too, unless that is all.
    """
    items = {tag.get("id"): tag for tag in find_tags(package, "item") if tag.get("href")}
    references = find_tags(package, "itemref")
    linear = [tag for tag in references if tag.get("linear", "yes").lower() != "no"]
    listed = [items.get(tag.get("idref")) for tag in linear or references]
    contents = {
        str(tag.get("href")).partition("#")[0]
        for tag in find_tags(package, "reference")
        if str(tag.get("type", "")).lower() == "toc"
    }
    pages = [_page(item, items) for item in (listed or items.values()) if item]
    hrefs = [str(page["href"]) for page in pages if page]
    return [href for href in hrefs if href.partition("#")[0] not in contents] or hrefs


def _page(item: Any, items: dict[Any, Any]) -> Any | None:
    """The item if it is a page of text, else the page that stands in for it, if there is one."""
    for _ in range(len(items)):
        kind = str(item.get("media-type", "")).lower()
        name = str(item["href"]).partition("#")[0].lower()
        is_page = "html" in kind or kind in _PAGE_TYPES
        if is_page or (kind in _VAGUE_TYPES and name.endswith(_PAGES)):
            return None if "nav" in str(item.get("properties", "")).split() else item
        item = items.get(item.get("fallback"))
        if item is None:
            return None
    return None


def _resolved(package: str, reference: str) -> str:
    """The name of the part that a package refers to, without a leading slash and `#fragment`."""
    path = unquote(reference.partition("#")[0].partition("?")[0]).replace("\\", "/")
    joined = path if path.startswith("/") else posixpath.join(posixpath.dirname(package), path)
    return re.sub(r"^(?:\.\./|/)+", "", posixpath.normpath(joined))


def _possible_names(info: zipfile.ZipInfo) -> Iterator[str]:
    """The name of a part; one that is not marked as UTF-8 also as other programs may mean it."""
    yield info.filename
    if not info.flag_bits & _MARKED_AS_UTF8:
        for encoding in _NAME_ENCODINGS:
            with contextlib.suppress(UnicodeError):
                yield info.filename.encode("cp437").decode(encoding)


def _similar(name: str) -> str:
    """A name in the form that parts are compared in: case and composition do not matter."""
    name = unquote(name).replace("\\", "/").lstrip("/")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts chapter 2 before chapter 10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _encrypted(book: _Book) -> set[str]:
    """Encrypted parts, in the form that parts are compared in; often these are only fonts."""
    listed = parse(book.find("META-INF/encryption.xml") or "")
    return {_similar(str(tag.get("uri", ""))) for tag in find_tags(listed, "cipherreference")}


def _reason(error: Exception) -> str:
    return str(error).strip("'\"").rstrip(".") or type(error).__name__
