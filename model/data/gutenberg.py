"""Project Gutenberg's licence, which stands around the texts of its files in several forms."""

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
    r"(?:\s*(?:Produced by|E-?text prepared by|This e-?text was (?:prepared|produced) by|"
    r"Transcribed (?:from|by)|Note: Project Gutenberg also has)\b[^\n]*(?:\n[^\n]+)*\n\s*\n)+",
    re.I,
)
_LICENCE_WORDS = re.compile(r"Project Gutenberg|licen[cs]e|e-?text|e-?book", re.I)
_MAX_LICENCE_CHARACTERS = 40_000  # with the header; that of 2024 has 19,000


def without_licence(text: str) -> str:
    """The text between Project Gutenberg's marks, of each book if the file holds several.

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
            kept.append(_CREDITS.sub("", stretch, count=1) if _CREDITS.match(stretch) else stretch)
        if mark:
            inside = mark["start"] is not None
            begin = mark.end()
    found = "\n\n".join(kept)
    return found if found.strip() else _MARK.sub("\n", text)


def _is_licence(stretch: str, *, regular: bool) -> bool:
    if len(stretch) > _MAX_LICENCE_CHARACTERS:
        return False
    return regular or _LICENCE_WORDS.search(stretch) is not None
