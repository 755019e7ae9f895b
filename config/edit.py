"""Edits single values of a settings file in place; comments, order and layout are preserved."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError, OutputError
from config.load import Scalar, load

_BEGINNING = "# Settings of Afterword; `afterword config` prints all of them.\n"


def change_settings(path: Path, values: Mapping[str, Scalar]) -> None:
    """Write dotted keys, such as "voice.rate_wpm", into the file at `path`; it may be missing.

    The new file is validated, then replaces the old one atomically.

    Raises:
        ConfigError: the file is not valid, or a value is not; nothing is changed.
        OutputError: it cannot be written; nothing is changed.
    """
    path = path.resolve()  # a symbolic link, into dotfiles for example, stays one
    old = ""
    if path.exists():
        load(path, (), {})  # raises an error that names the line
        old = path.read_bytes().decode("utf-8-sig")
    new = changed_text(old, values)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(path, new)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} cannot be written: {reason}; it is as it was.") from error


def changed_text(text: str, values: Mapping[str, Scalar]) -> str:
    """The YAML text with these values in it, and no other character changed.

    PyYAML gives the position of each node, and parses the result to check its meaning. Dumping
    parsed objects would lose comments and indentation.

    Raises:
        ConfigError: the layout of the text is not supported, such as block scalars or aliases.
    """
    new = text
    try:
        for key, value in values.items():
            new = _with(new, key, value)
        understood = _meaning(new) == _changed(_meaning(text), values)
    except (yaml.YAMLError, ValueError):  # ValueError: of a date that is none
        understood = False
    if not understood:
        raise ConfigError("The settings file cannot be changed safely; change it by hand.")
    return new


def _meaning(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}


def _changed(tree: dict[str, Any], values: Mapping[str, Scalar]) -> dict[str, Any]:
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        if section:
            tree[section] = {**(tree.get(section) or {}), name: value}
        else:
            tree[name] = value
    return tree


def _with(text: str, key: str, value: Scalar) -> str:
    """The text with one value set."""
    section, _, name = key.rpartition(".")
    entry = f"{name}: {_as_yaml(value)}"
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None or (root.flow_style and not root.value):  # an empty file, or {}
        head = text if root is None else _without(text, root)
        return _appended(head or _BEGINNING, section, entry)
    if not section:
        return _in_mapping(text, root, name, entry, value)
    found = _child(root, section)
    if found is None and root.flow_style:
        return _in_mapping(text, root, section, f"{section}: {{{entry}}}", value)
    if found is None:
        return _appended(text, section, entry)
    if found.id == "scalar":  # voice: with nothing, or null
        begin, end = _span(root, section, text)
        return _after_line(text[:begin] + text[end:], begin, f"  {entry}")
    return _in_mapping(text, found, name, entry, value)


def _in_mapping(text: str, mapping: Any, name: str, entry: str, value: Scalar) -> str:
    """Replace the value of a key, or add the key at the end of its mapping."""
    if _child(mapping, name) is not None:
        begin, end = _span(mapping, name, text)
        blank = " " if begin == end else ""  # there was nothing after the colon
        return f"{text[:begin]}{blank}{_as_yaml(value)}{text[end:]}"
    if mapping.flow_style:
        brace = mapping.end_mark.index - 1
        comma = ", " if mapping.value else ""
        return f"{text[:brace].rstrip()}{comma}{entry}{text[brace:]}"
    indent = " " * mapping.value[0][0].start_mark.column
    return _after_line(text, _end(mapping), indent + entry)


def _child(mapping: Any, name: str) -> Any:
    """The node of a key's value, or None."""
    return next((value for key, value in mapping.value if key.value == name), None)


def _span(mapping: Any, name: str, text: str) -> tuple[int, int]:
    """Begin and end of a key's value; an empty value is put behind the colon, not at its mark."""
    key, value = next(pair for pair in mapping.value if pair[0].value == name)
    begin, end = value.start_mark.index, value.end_mark.index
    if begin == end:
        begin = end = text.index(":", key.end_mark.index) + 1
    return begin, end


def _end(node: Any) -> int:
    """End of the last value in a node; a block mapping's own mark is behind later comments."""
    if node.id == "scalar" or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if node.id == "mapping" else last)


def _without(text: str, node: Any) -> str:
    return text[: node.start_mark.index] + text[node.end_mark.index :]


def _appended(text: str, section: str, entry: str) -> str:
    lines = f"{section}:\n  {entry}\n" if section else f"{entry}\n"
    if text and not text.endswith("\n"):
        text += _line_end(text)
    return text + lines.replace("\n", _line_end(text))


def _after_line(text: str, position: int, line: str) -> str:
    """The text with a line inserted below the one that holds `position`."""
    end = text.find("\n", position)
    if end < 0:
        return f"{text}{_line_end(text)}{line}{_line_end(text)}"
    return f"{text[: end + 1]}{line}{_line_end(text)}{text[end + 1 :]}"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _as_yaml(value: Scalar) -> str:
    """A value in flow style, which is valid in block and in flow mappings.

    A text that YAML would take for something else, such as `no`, is put in quotes.
    """
    one_line = float("inf")
    text = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=one_line)
    return text.strip()[1:-1]


def _replace(path: Path, text: str) -> None:
    """Write a temporary file beside it, validate that, then rename it onto the path."""
    handle, name = tempfile.mkstemp(prefix=".config-", suffix=".yaml", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load(temporary, (), {})
        mode = path.stat().st_mode if path.exists() else 0o600
        temporary.chmod(mode & 0o777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
