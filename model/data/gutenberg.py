"""Project Gutenberg's licence around the texts of its files, and its makers' notes in them."""

import re

_MARK = re.compile(
    r"""^[ \t]*(?:
      (?P<start>
        \*{3}[ ]*START[ ]OF[ ](?:THIS[ ]|THE[ ])?PROJECT[ ]GUTENBERG
          (?:[^*\n]*(?:\n[^*\n]+){0,3}\*{3}.*|.*)      # the title may take several lines
        | \*END[ *]+THE[ ]SMALL[ ]PRINT!.*             # until 2003 the licence came first
      )
      | (?P<end>
        \*{3}[ ]*END[ ]OF[ ](?:THIS[ ]|THE[ ])?PROJECT[ ]GUTENBERG.*
        | \**[ ]?END[ ]OF[ ](?:THIS[ ]|THE[ ])?PROJECT[ ]GUTENBERG(?:['’]S\b)?.*
      )
    )$""",
    re.M | re.I | re.X,
)
_CREDITS = re.compile(
    r"(?:\[?This )?(?:(?:e-?text|file|e-?book|HTML version|text) )?(?:was )?"
    r"(?:first )?(?:Produced|Prepared|Scanned|Transcribed|Proofed|Digiti[sz]ed) (?:from|by)\b"
    r"|(?:HTML version|Cover|Updated editions?) (?:by|will)\b"
    r"|Note: Project Gutenberg also has|\(?This file was produced from images"
    r"|Transcription by|Proofreading (?:Team|by)|Images (?:generously|courtesy)"
    r"|https?://\S+$|E-?text (?:No|#)",
    re.I,
)
"""The beginning of a paragraph that tells who made the file."""
_NOTE = re.compile(r"\W*(?:Transcriber|Transcription)(?:['’]?s|s['’])?\s+Notes?\b", re.I)
_HEADING_CHARACTERS = 40  # "TRANSCRIBER'S NOTE:"; a longer paragraph is the note itself
_BRACKETED = re.compile(
    r"\[\s*(?:(?:Transcriber|Transcription|Editor|E-?text|PG|Project Gutenberg)\b[^\[\]]{0,60}"
    r"\bnotes?\b|Illustration|Frontispiece)[^\[\]]{0,2000}\]",
    re.I,
)
_EMPHASIS = re.compile(r"(?<!\w)_(?=\S)([^_]{1,500}?)_(?!\w)")  # _this_ for italics
_FRONT_CHARACTERS = 6_000  # credits and notes stand before and after the text
_BACK_CHARACTERS = 12_000
_LICENCE_WORDS = re.compile(r"Project Gutenberg|licen[cs]e|e-?text|e-?book", re.I)
_MAX_LICENCE_CHARACTERS = 40_000  # with the header; that of 2024 has 19,000


def without_licence(text: str) -> str:
    """The text between Project Gutenberg's marks, of each book if the file holds several.

    What its makers have added is left out: credits, transcriber's notes, places of pictures, and
    the marks of italics.
    What is outside of them stays where it is too long for a licence or, if the marks are not a
    start and an end, has no word of one. All but the marks stays if nothing would remain.
    """
    marks = list(_MARK.finditer(text))
    if not marks:
        return text
    regular = marks[0]["start"] is not None and marks[-1]["end"] is not None
    kept = []
    inside = marks[0]["start"] is None
    begin = 0
    for mark in [*marks, None]:
        stretch = text[begin : mark.start() if mark else len(text)]
        if inside or not _is_licence(stretch, regular=regular):
            kept.append(_without_notes(stretch))
        if mark:
            inside = mark["start"] is not None
            begin = mark.end()
    found = "\n\n".join(kept)
    return found if found.strip() else _MARK.sub("\n", text)


def _is_licence(stretch: str, *, regular: bool) -> bool:
    if len(stretch) > _MAX_LICENCE_CHARACTERS:
        return False
    return regular or _LICENCE_WORDS.search(stretch) is not None


def _without_notes(book: str) -> str:
    """A book without credits, transcriber's notes, places of pictures and marks of italics."""
    book = _EMPHASIS.sub(r"\1", _BRACKETED.sub("", book))
    paragraphs = re.split(r"\n[ \t]*\n", book)
    kept: list[str] = []
    position, in_note = 0, False
    for paragraph in paragraphs:
        text = paragraph.strip()
        at_front = position < _FRONT_CHARACTERS
        at_back = not at_front and len(book) - position < _BACK_CHARACTERS
        position += len(paragraph) + 2
        if at_back and _NOTE.match(text):
            break  # a list of changes, up to the end
        if at_front and _NOTE.match(text):
            in_note = len(text) < _HEADING_CHARACTERS
        elif (at_front or at_back) and _CREDITS.match(text):
            continue
        elif in_note and text:
            in_note = False
        else:
            kept.append(paragraph)
    return "\n\n".join(kept)
