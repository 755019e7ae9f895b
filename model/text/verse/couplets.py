"""The form of regular Chinese verse: couplets of two lines of five or seven characters."""

import re

from config.languages import HAN

MARKS = "，、；：。！？"

_COUPLET = re.compile(rf"([{HAN}]{{5}}|[{HAN}]{{7}})[，、；！？]([{HAN}]+)[。！？；]")
_COUPLETS = re.compile(rf"[{HAN}]+[，、；！？][{HAN}]+[。！？；]")


def line_length(couplet: str) -> int:
    """The characters of each line of a well-formed couplet; 0 if it is none."""
    match = _COUPLET.fullmatch(couplet)
    return len(match[1]) if match and len(match[1]) == len(match[2]) else 0


def last_couplets(text: str) -> tuple[str, ...]:
    """The well-formed couplets at the end of a text, all of the same length of lines."""
    found: list[str] = []
    for couplet in reversed(_COUPLETS.findall(text)):
        length = line_length(couplet)
        if not length or (found and length != line_length(found[0])):
            break
        found.insert(0, couplet)
    return tuple(found)


def last_character(couplet: str) -> str:
    """The character before the last mark."""
    return couplet.rstrip(MARKS)[-1:]
