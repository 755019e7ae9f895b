"""Long texts in pieces: at ends of paragraphs, lines and sentences, at blanks, else anywhere."""

import re
from collections.abc import Iterator, Sequence

PARAGRAPHS = re.compile(r"\n\s*\n")
LINES = re.compile(r"\n")
SENTENCES = re.compile(r"[.!?][\"”’']*\s+|[。！？][”’」』]*")
WORDS = re.compile(r"\s+|[，、；：]")


def cut_text(text: str, longest: int, ends: Sequence[re.Pattern[str]]) -> list[str]:
    """Pieces of at most `longest` characters, none of them blank.

    Parts that end at the first pattern are packed together. One that is too long by itself is cut
    at the next pattern, and after the last one anywhere, as Chinese may be.
    """
    pieces = [""]
    for part in _parts(text, longest, ends):
        if pieces[-1] and len(pieces[-1]) + len(part) > longest:
            pieces.append("")
        pieces[-1] += part
    return [piece.strip() for piece in pieces if piece.strip()]


def _parts(text: str, longest: int, ends: Sequence[re.Pattern[str]]) -> Iterator[str]:
    if not ends:
        yield from (text[i : i + longest] for i in range(0, len(text), longest))
        return
    begin = 0
    for end in [*(match.end() for match in ends[0].finditer(text)), len(text)]:
        part = text[begin:end]
        begin = end
        if len(part) <= longest:
            yield part
        else:
            yield from _parts(part, longest, ends[1:])
