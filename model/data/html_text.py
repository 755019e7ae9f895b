"""Paragraphs of HTML and XHTML: pages, chapters of e-books, and what Markdown is rendered to."""

import html
import html.entities
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from config.errors import InputError, MissingPackageError
from config.installation import add_extra_command
from model.data.plain_text import clean, tidy_lines

_MAX_TAGS = 500_000  # of one page; Beautiful Soup takes 0.6 KB for each

_BLOCKS = """
address article aside blockquote body caption center dd details div dl dt fieldset figure footer
form h1 h2 h3 h4 h5 h6 header hr li main ol p pre section summary table td th tr ul
"""
_UNREAD = """
audio button canvas code figcaption iframe math meta nav object option rp rt rtc script select
style sup svg template textarea title video
"""
_VERSE = "language-poem language-poetry language-verse language-lyrics language-text language-txt"
# Values of epub:type; as roles they begin with "doc-".
_UNREAD_PARTS = """
noteref footnote footnotes rearnote rearnotes endnote endnotes backlink pagebreak page-list toc
landmarks lot loi index
"""
# Classes of the numbers of pages and lines in the pages of Project Gutenberg and others.
_NUMBERS = "pagenum pageno pagenumber page-number x-ebookmaker-pageno linenum"
_BLOCK_TAGS, _UNREAD_TAGS = frozenset(_BLOCKS.split()), frozenset(_UNREAD.split())
_VERSE_CLASSES, _UNREAD_TYPES = frozenset(_VERSE.split()), frozenset(_UNREAD_PARTS.split())
_WORD_ENDS = ("st", "nd", "rd", "th", "r", "rs", "er")  # raised, as in 4th and Mr
_UNREAD_CLASSES = frozenset(_NUMBERS.split())
_NOTE_MARK = re.compile(r"[\[(]?(?:\d{1,4}|[*†‡§]+|↩.?)[\])]?")
_MAX_NOTE_MARK_NODES = 12  # tags and strings of a mark, such as <a>, <sup>, [, 1 and ]
_LAYOUT_CELL_CHARACTERS = 100  # the mean in a table that holds a text rather than data
_MIN_LINKS, _MAX_LINK_SHARE = 3, 0.7  # of a page: a table of contents has more

_ENTITY = re.compile(r"""<!ENTITY\s+([\w.:-]+)\s+(["'])(.*?)\2""", re.S)
_HARMLESS = re.compile(r"(?:[^&%]|&#\w+;){0,40}")  # texts of entities: short, without others
_STRAY_MARK = re.compile(r"<(?=[^<>]*(?:<|\Z))")


def paragraphs_of_html(page: str, *, without_contents: bool = False) -> str:
    """The paragraphs of a page, separated by empty lines.

    Left out: what is no prose (scripts, tables of data, code, pictures) and what is not read on
    (marks of footnotes, ruby, navigation); with `without_contents` a page that is little but links.

    Raises:
        InputError: the page has too many tags for the memory that it would take.
        MissingPackageError: Beautiful Soup is not installed.
    """
    soup = parse(page)
    if without_contents and _is_contents(soup):
        return ""
    flow = clean("".join(_flow(soup)))
    paragraphs = (tidy_lines(paragraph) for paragraph in re.split(r"\n\s*\n", flow))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def parse(page: str) -> Any:
    """A page, or another XML file, as Beautiful Soup's tree; entities are expanded only once.

    Raises:
        InputError: the page has too many tags.
        MissingPackageError: Beautiful Soup is not installed.
    """
    try:
        import bs4
    except ImportError as error:
        raise missing_package("E-books, HTML and Markdown", "beautifulsoup4") from error
    page = _between(page, "<!--", "-->", lambda _: "")
    page = _between(_without_document_type(page), "<![CDATA[", "]]>", html.escape)
    page = _STRAY_MARK.sub("&lt;", page)  # html.parser takes quadratic time for them
    if page.count("<") > _MAX_TAGS:
        raise InputError(f"A page has more than {_MAX_TAGS:,} tags.")
    with warnings.catch_warnings():  # pages of e-books are XML, which is near enough
        warnings.simplefilter("ignore", bs4.XMLParsedAsHTMLWarning)
        warnings.simplefilter("ignore", bs4.MarkupResemblesLocatorWarning)
        return bs4.BeautifulSoup(page, "html.parser")


def local_name(tag: Any) -> str:
    """The name of a tag without its prefix: `item` of `opf:item`."""
    return str(tag.name).rpartition(":")[2]


def find_tags(soup: Any, name: str) -> list[Any]:
    """All tags of this name, with any prefix, in the order of the file."""
    return list(soup.find_all(lambda tag: local_name(tag) == name))


def missing_package(what: str, package: str) -> MissingPackageError:
    """The error for a package of the extra `train` that is not installed."""
    return MissingPackageError(f"{what} need {package}; `{add_extra_command('train')}` brings it.")


def _between(text: str, begin: str, end: str, change: Callable[[str], str]) -> str:
    """Text with all that is between two marks changed and these removed; an unclosed one stays.

    A regular expression would take quadratic time for many first marks without a second.
    """
    head, *rest = text.split(begin)
    parts = (part.partition(end) for part in rest)
    return head + "".join(change(x) + after if found else x for x, found, after in parts)


def _without_document_type(page: str) -> str:
    """A page without its DOCTYPE, whose own entities are replaced by short texts or nothing.

    Entities within these are not expanded, so that a few lines do not become gigabytes.
    """
    found = re.search("<!doctype", page, re.I)
    if found is None:
        return page
    begin = found.start()
    close, bracket = page.find(">", begin), page.find("[", begin)
    if not -1 < bracket < close:
        return page[:begin] + page[close + 1 :] if close > 0 else page
    end = re.compile(r"\]\s*>").search(page, bracket)
    if end is None:
        return page
    own = {name: value for name, _, value in _ENTITY.findall(page, bracket, end.start())}

    def expand(match: re.Match[str]) -> str:
        if f"{match[1]};" in html.entities.html5 or match[1] not in own:
            return match[0]
        return own[match[1]] if _HARMLESS.fullmatch(own[match[1]]) else ""

    return re.sub(r"&([\w.:-]+);", expand, page[:begin] + page[end.end() :])


def _flow(root: Any) -> Iterator[str]:
    """The text of a tree: blocks between empty lines, and line breaks only where they are meant.

    Without recursion: unclosed tags nest deeply.
    """
    from bs4.element import NavigableString, Tag

    # Nodes, whether their lines are kept, and whether they are in a table that is read.
    todo: list[tuple[Any, bool, bool]] = [(root, False, False)]
    while todo:
        node, verbatim, arranged = todo.pop()
        if isinstance(node, Tag):
            name = local_name(node)
            if name == "br":
                yield "\n"
            elif _is_unread(node, name) or (name == "table" and not arranged and _is_data(node)):
                continue
            ends = ["\n\n"] if name in _BLOCK_TAGS else []
            inside = (verbatim or name == "pre", arranged or name == "table")
            todo += [(child, *inside) for child in [*ends, *reversed(node.contents)]]
            yield from ends
        elif type(node) is NavigableString:  # no comment, no declaration
            yield str(node) if verbatim else re.sub(r"\s+", " ", node)
        elif type(node) is str:
            yield node


def _is_unread(tag: Any, name: str) -> bool:
    if name == "code":
        return not _VERSE_CLASSES.intersection(tag.get("class", []))
    if name == "sup" and len(tag.contents) == 1 and tag.contents[0] in _WORD_ENDS:
        return False
    if name in _UNREAD_TAGS or tag.has_attr("hidden"):
        return True
    if _UNREAD_CLASSES.intersection(map(str.lower, tag.get("class", []))):
        return True
    words = f"{tag.get('epub:type', '')} {tag.get('role', '')}".split()
    if _UNREAD_TYPES.intersection(word.removeprefix("doc-") for word in words):
        return True
    return name == "a" and "#" in str(tag.get("href", "")) and _is_note_mark(tag)


def _is_note_mark(link: Any) -> bool:
    """True if the text of a link is the number or sign of a note.

    Only its first nodes are looked at, since unclosed links hold the rest of the page.
    """
    todo, text = [link], ""
    for _ in range(_MAX_NOTE_MARK_NODES):
        if not todo:
            break
        node = todo.pop()
        if isinstance(node, str):
            text += "".join(node.split())
        else:
            todo += reversed(node.contents)
    return not todo and _NOTE_MARK.fullmatch(text) is not None


def _is_data(table: Any) -> bool:
    """True unless the table only arranges a text, as some e-books do."""
    cells = len(find_tags(table, "td")) + len(find_tags(table, "th"))
    return len(table.get_text()) < _LAYOUT_CELL_CHARACTERS * cells


def _is_contents(soup: Any) -> bool:
    """True if most of the letters are links, as in a table of contents."""
    links, letters, linked = 0, 0, 0
    todo = [(soup, False)]
    while todo:
        node, within = todo.pop()
        if isinstance(node, str):
            length = len("".join(node.split()))
            letters += length
            linked += length if within else 0
        elif local_name(node) not in ("head", "title"):
            is_link = local_name(node) == "a" and node.has_attr("href")
            links += is_link
            todo += [(child, within or is_link) for child in node.contents]
    return links >= _MIN_LINKS and linked > _MAX_LINK_SHARE * letters
