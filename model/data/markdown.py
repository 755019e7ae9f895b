"""Paragraphs of Markdown, also of notes with wiki links and tags; markdown-it-py reads it."""

import re

from model.data.html_text import missing_package, paragraphs_of_html

# Front matter: YAML or TOML whose every line looks like it, so that no text between rules is lost.
_FRONT_MATTER = re.compile(
    r"\A(?P<mark>---|\+\+\+)[ \t]*\n"
    r"(?:(?:[ \t#}\]-].*|\[.*\]|[\w.\"'-]+(?:[ ][\w.\"'-]+){0,2}[ \t]*[:=].*)?\n)*?"
    r"(?:(?P=mark)|\.\.\.)[ \t]*(?:\n|\Z)"
)
_DATA_URI = re.compile(r"data:[\w/+.-]+(?:;[\w=.+-]+)*,[^\s)>\"']*")
_MARKS = (
    (re.compile(r"<!--(?:(?!<!--).)*?-->", re.S), ""),  # also within and between paragraphs
    (re.compile(r"[ \t]?%%.*?%%", re.S), ""),  # comments of Obsidian
    (re.compile(r"!\[\[[^\[\]\n]*\]\]"), ""),  # embedded pictures and notes
    (re.compile(r"\[\[#?([^\[\]|#\n]*)[^\[\]|\n]*\]\]"), r"\1"),  # [[page]], [[page#heading]]
    (re.compile(r"\[\[[^\[\]|\n]*\|([^\[\]\n]*)\]\]"), r"\1"),  # [[page|shown]]
    (re.compile(r"^[ \t]*\[\^[^\[\]\n]+\]:[ \t]*", re.M), ""),  # the mark before a footnote's text
    (re.compile(r"\[\^[^\[\]\n]+\]|\^\[[^\[\]\n]+\]"), ""),  # what refers to it, or inline
    (re.compile(r"^[ \t>]*\|.*\|[ \t]*$|^[ \t]*\+[-=+]+\+[ \t]*$", re.M), ""),  # rows of tables
    (re.compile(r"\$\$(?:[^$\n]|\n(?!\s*\n))+\$\$"), ""),  # formulas
    (re.compile(r"^([ \t>]*(?:[-*+]|\d+[.)])[ \t]+)\[[ xX/><!?*-]\][ \t]+", re.M), r"\1"),  # tasks
    (re.compile(r"^([ \t]*>[ \t>]*)\[![\w|-]+\][+-]?", re.M), r"\1"),  # callouts
    (re.compile(r"[ \t]\^[\w-]+$", re.M), ""),  # names of blocks
    (re.compile(r"^[ \t]*#[^\W\d][\w/-]*(?:[ \t]+#[\w/-]+)*[ \t]*$", re.M), ""),  # lines of tags
    (re.compile(r"(?<![\w&/#(\"'=])#(?=[^\W\d])"), ""),  # tags among words
    (re.compile(r"==([^=\n]+)=="), r"\1"),  # highlights
)


def paragraphs_of_markdown(text: str) -> str:
    """The paragraphs of a Markdown text, separated by empty lines.

    Left out: front matter, tables, code (blocks marked as a poem or text are read), pictures and
    the marks of links and footnotes. Indented blocks are text: notes are indented for their looks.

    Raises:
        InputError, MissingPackageError: see paragraphs_of_html.
        MissingPackageError: markdown-it-py is not installed.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise missing_package("Markdown files", "markdown-it-py") from error
    text = _DATA_URI.sub("about:blank", _FRONT_MATTER.sub("", text, count=1))
    for pattern, replacement in _MARKS:
        text = pattern.sub(replacement, text)
    parser = MarkdownIt("commonmark", {"html": True})
    parser.enable(["table", "strikethrough"]).disable("code")
    return paragraphs_of_html(parser.render(text))
