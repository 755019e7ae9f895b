"""Files of patterns: sections of lines, each a regular expression; comments begin with #."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources


def read_sections(name: str) -> dict[str, list[str]]:
    """The lines of each `[section]` of this file in model/text/patterns, in their order."""
    sections: dict[str, list[str]] = {}
    for line in read_lines(name):
        if heading := re.fullmatch(r"\[([a-z-]+)\]", line):
            section = sections.setdefault(heading[1], [])
        else:
            section.append(line)
    return sections


def read_lines(name: str) -> Iterator[str]:
    """The lines of this file in model/text/patterns that are neither empty nor comments."""
    text = resources.files("model.text").joinpath("patterns", name).read_text("utf-8")
    return (line for line in text.splitlines() if line and not line.startswith("#"))


def join(patterns: Iterable[str]) -> str:
    """One regular expression that matches where any of these does."""
    return "|".join(f"(?:{pattern})" for pattern in patterns)


def join_named(sections: Mapping[str, Iterable[str]]) -> str:
    """One regular expression of all sections, with a group for each; see `kind_of`."""
    groups = (f"(?P<{kind.replace('-', '_')}>{join(lines)})" for kind, lines in sections.items())
    return "|".join(groups)


def kind_of(match: re.Match[str]) -> str:
    """The section of `join_named` that has matched."""
    return str(match.lastgroup).replace("_", "-")
