"""Loads the settings from their layers: default < language < user file < environment < flags.

Each value keeps its origin, for `afterword config` and for errors, which name file and line.
"""

import dataclasses
import difflib
import os
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config import paths
from config.errors import ConfigError
from config.languages import LANGUAGES
from config.settings import Settings

ENVIRONMENT_PREFIX = "AFTERWORD_"
NOT_SETTINGS = ("AFTERWORD_TEST_", "AFTERWORD_TORCH")  # for the tests, and for scripts/setup
RENAMED_KEYS = {  # old: new; the old ones are accepted in every layer, with a notice
    "trigger.stop_phrases": "commands.stop",
    "conversation.go_on_phrases": "commands.go_on",
    "conversation.again_phrases": "commands.again",
    "conversation.never_mind_phrases": "commands.never_mind",
}
_ONE_LANGUAGE_KEYS = ("hearing.model", "model.weights")  # beside those of the packaged layers
_YAML_WORDS = {True: "true", False: "false", None: "null"}
# Types that no setting has: a date, `=` and `<<` stay text.
_TEXT_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("timestamp", "value", "merge")]
MAX_FILE_BYTES = 256 * 1024  # a settings file has a few kilobytes; a larger one is a mistake

Scalar = str | int | float | bool | None
Value = Scalar | list[Scalar]


@dataclass(frozen=True)
class Entry:
    """One value of the settings.

    Attributes:
        value: as YAML gives it.
        origin: where it was written, such as "/home/ann/config.yaml, line 3".
        written: the value as written, or each item of a list.
        old_key: the key as written, where it is one of `RENAMED_KEYS`.
    """

    value: Value
    origin: str
    written: "tuple[Written, ...]" = ()
    old_key: str | None = None


@dataclass(frozen=True)
class Written:
    """A scalar as it was written, before YAML gave it a type: `off` is false.

    Attributes:
        text: without quotes.
        origin: as `Entry.origin`; the items of a list may stand on lines of their own.
    """

    text: str
    origin: str


@dataclass(frozen=True)
class Loaded:
    """Validated settings.

    Attributes:
        settings: the values in force.
        entries: for each dotted key, the entry that won.
        notices: one sentence for each renamed key in use, for the log.
    """

    settings: Settings
    entries: Mapping[str, Entry]
    notices: tuple[str, ...]


def load(
    user_file: Path | None = None,
    flags: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """Read and validate all layers.

    Args:
        user_file: a file that must exist; None takes `paths.config_file()` where it exists.
        flags: assignments "section.key=value", the value in YAML.
        environment: variables; None is the process's own.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of range or a file that is not YAML.
    """
    upper: dict[str, Entry] = {}
    notices: list[str] = []
    for layer in (
        _user_layer(user_file),
        _environment_layer(os.environ if environment is None else environment),
        _flag_layer(flags),
    ):
        notices += _rename_keys(layer)
        upper |= layer
    entries = _packaged_layer("default.yaml")
    language = upper.get("language", entries["language"])
    known = LANGUAGES.get(str(language.value))
    if known and known.settings_file:
        entries |= _packaged_layer(known.settings_file)
    entries |= upper
    return Loaded(_validate(entries), entries, tuple(notices))


def for_language(loaded: Loaded, language: str) -> Settings:
    """The settings for one of the languages, beside the configured one.

    What depends on the language, such as phrases, voice and weights, is set for the configured one;
    another has its own defaults instead. All else is as it is set.

    Raises:
        ConfigError: the two together are not valid.
    """
    if language == loaded.settings.language:
        return loaded.settings
    files = {code: known.settings_file for code, known in LANGUAGES.items()}
    layers = {code: _packaged_layer(file) if file else {} for code, file in files.items()}
    dependent = {*_ONE_LANGUAGE_KEYS, *(key for layer in layers.values() for key in layer)}
    entries = _packaged_layer("default.yaml") | layers[language]
    entries |= {key: entry for key, entry in loaded.entries.items() if key not in dependent}
    return _validate(entries | {"language": Entry(language, "the text's language")})


def changed_keys(old: Loaded, new: Loaded) -> list[str]:
    """The keys whose values differ, in the order of the settings file."""
    return [key for key in known_keys() if old.entries[key].value != new.entries[key].value]


def known_keys() -> list[str]:
    """All dotted keys, in the order of the settings file."""
    return list(_fields(Settings, ""))


def _fields(kind: type, prefix: str) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _fields(typing.cast(type, hints[field.name]), f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def _rename_keys(layer: dict[str, Entry]) -> list[str]:
    """Move the entries of old keys to the new ones, and return a notice for each.

    Where a layer has both, the new key wins.
    """
    notices = []
    for old, new in RENAMED_KEYS.items():
        entry = layer.pop(old, None)
        if entry is None:
            continue
        if new in layer:
            advice = f"is ignored, because {new} is set as well; remove the old key."
        else:
            layer[new] = replace(entry, old_key=old)
            advice = f"is deprecated; rename it to {new}."
        notices.append(f"{entry.origin}: {old} {advice}")
    return notices


def _packaged_layer(name: str) -> dict[str, Entry]:
    text = resources.files("config").joinpath(name).read_text("utf-8")
    return _parse(text, f"default ({name})", with_lines=False)


def _user_layer(user_file: Path | None) -> dict[str, Entry]:
    path = user_file or paths.config_file()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if user_file is None:
            return {}
        raise ConfigError(
            f"{path}: no such settings file; check the path after --config."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes, so not a settings file.")
    try:
        return _parse(content.decode("utf-8-sig"), str(path), with_lines=True)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8."
        ) from None


def _environment_layer(environment: Mapping[str, str]) -> dict[str, Entry]:
    """Variables such as AFTERWORD_VOICE__RATE_WPM=130, which is voice.rate_wpm."""
    layer: dict[str, Entry] = {}
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and not name.startswith(NOT_SETTINGS):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            origin = f"environment variable {name}"
            layer |= _assign(key, environment[name], origin)
    return layer


def _flag_layer(flags: Iterable[str]) -> dict[str, Entry]:
    layer: dict[str, Entry] = {}
    for flag in flags:
        key, equals, text = flag.partition("=")
        if not equals:
            raise ConfigError(f"--set {flag}: write it as section.key=value.")
        layer |= _assign(key.strip(), text, f"flag --set {key.strip()}")
    return layer


def _assign(key: str, text: str, origin: str) -> dict[str, Entry]:
    """A layer of one key from the environment or the command line; its value is YAML."""
    _refuse_unknown(key, origin)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise ConfigError(f"{origin}: {text!r} is not a YAML value.") from None
    entry = Entry(None, origin) if node is None else _entry(node, key, origin, with_lines=False)
    return {key: entry}


def _parse(text: str, origin: str, *, with_lines: bool) -> dict[str, Entry]:
    """Flatten YAML into dotted keys with the line of each; composing constructs no objects."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{origin}, line {line}: is not valid YAML ({error.problem}).") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        reason = " ".join(str(error).split())
        raise ConfigError(f"{origin}: is not valid YAML ({reason}).") from None
    except RecursionError:
        raise ConfigError(f"{origin}: is nested too deeply for a settings file.") from None
    layer: dict[str, Entry] = {}
    if root is not None:
        for key, node in _leaves(root, "", origin, with_lines):
            place = _place(origin, node, with_lines)
            if key in layer:
                raise ConfigError(f"{place}: {key} is set twice; keep one of them.")
            layer[key] = _entry(node, key, origin, with_lines=with_lines)
    return layer


def _place(origin: str, node: yaml.Node, with_lines: bool) -> str:
    return f"{origin}, line {node.start_mark.line + 1}" if with_lines else origin


def _leaves(
    node: yaml.Node, prefix: str, origin: str, with_lines: bool
) -> Iterator[tuple[str, yaml.Node]]:
    """Yield each dotted key and the node of its value; raises ConfigError at an unknown key."""
    if not isinstance(node, yaml.MappingNode):
        place, where = _place(origin, node, with_lines), prefix.rstrip(".") or "the file"
        raise ConfigError(f"{place}: {where} must hold keys and values, such as `language: en`.")
    sections = {key.partition(".")[0] for key in known_keys() if "." in key}
    for key_node, value_node in node.value:
        name = key_node.value if isinstance(key_node, yaml.ScalarNode) else "[...]"
        key = prefix + name
        if key in sections:
            if not (isinstance(value_node, yaml.ScalarNode) and value_node.value == ""):
                yield from _leaves(value_node, key + ".", origin, with_lines)
        else:
            _refuse_unknown(key, _place(origin, key_node, with_lines))
            yield key, value_node


def _entry(node: yaml.Node, key: str, origin: str, *, with_lines: bool) -> Entry:
    place = _place(origin, node, with_lines)
    items = node.value if isinstance(node, yaml.SequenceNode) else [node]
    value = _value(node, key, place)
    written = (Written(item.value, _place(origin, item, with_lines)) for item in items)
    return Entry(value, place, tuple(written))


def _value(node: yaml.Node, key: str, place: str) -> Value:
    """A scalar or a flat list of scalars; deeper nesting, as of an alias bomb, is refused."""
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(item, key, place) for item in node.value]
    return _scalar(node, key, place)


def _scalar(node: yaml.Node, key: str, place: str) -> Scalar:
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{place}: {key} must be a single value or a list of them.")
    if node.tag in _TEXT_TAGS:
        return str(node.value)
    try:
        value = yaml.SafeLoader("").construct_object(node)
    except Exception:  # of many kinds, for `!!bool x` and the like are not checked
        raise ConfigError(f"{place}: {key} cannot be read: {node.value!r}.") from None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(node.value)  # of !!binary, which is bytes


def _refuse_unknown(key: str, place: str) -> None:
    if key in known_keys() or key in RENAMED_KEYS:
        return
    raise ConfigError(f"{place}: unknown key {key}; {_suggestion(key)}")


def _suggestion(key: str) -> str:
    """A hint at the nearest known key: by its whole name, else by its last part in any section."""
    known = [*known_keys(), *RENAMED_KEYS]
    last = key.rpartition(".")[2]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.75) or [
        name
        for name in known
        if difflib.get_close_matches(last, [name.rpartition(".")[2]], cutoff=0.7)
        or name.rpartition(".")[2].startswith(last + "_")
    ]
    return (
        f"did you mean {RENAMED_KEYS.get(near[0], near[0])}?"
        if near
        else "`afterword config` lists all keys."
    )


def _validate(entries: Mapping[str, Entry]) -> Settings:
    tree: dict[str, typing.Any] = {}
    for key, entry in entries.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = entry.value
    try:
        return TypeAdapter(Settings).validate_python(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors(), entries)) from None


def _explain(errors: list[ErrorDetails], entries: Mapping[str, Entry]) -> str:
    """One sentence on the first wrong value: its origin, key, expected type and value."""
    path = errors[0]["loc"]
    dotted = ".".join(map(str, path[:2]))
    key = next(k for k in entries if k in (path[0], dotted))
    entry, depth = entries[key], key.count(".") + 1
    found = {
        error["type"]: error["loc"]
        for error in reversed(errors)
        if error["loc"][:depth] == path[:depth]
    }
    name = entry.old_key or key
    if "string_type" in found and "bool_type" not in found and entry.written:
        item = next(iter(found["string_type"][depth:]), None)
        if isinstance(entry.value, list):
            if isinstance(item, int):  # else the setting is one text, for which a list was given
                return _explain_word(name, entry.written[item], entry.value[item])
        elif entry.written[0].text:
            return _explain_word(name, entry.written[0], entry.value)
    wanted = expected(key)
    if "list_type" in found and entry.written and entry.written[0].text:
        wanted += f', such as ["{entry.written[0].text}"]'
    return f"{entry.origin}: {name} should be {wanted}, {_not(entry)}."


def _explain_word(name: str, written: Written, value: Scalar) -> str:
    """One sentence on a word that YAML does not take for a text: its meaning, how to write it."""
    if not written.text:
        return f"{written.origin}: {name} has an empty item; remove it, or write a text."
    what = f"{written.text}, which YAML takes for the number {value}"
    if value is None or isinstance(value, bool):
        what = f"the YAML word {written.text}, which means {_YAML_WORDS[value]}"
    remedy = f'put it in quotes: "{written.text}"'
    if written.origin.startswith(("flag ", "environment ")):
        remedy = f"put it in quotes that the shell does not take away: '\"{written.text}\"'"
    return f"{written.origin}: {name} has {what}; {remedy}."


def _not(entry: Entry) -> str:
    """The wrong value, in the user's words."""
    texts = ", ".join(written.text for written in entry.written)
    if isinstance(entry.value, list):
        return f"not [{texts}]"
    if entry.value is None or isinstance(entry.value, bool):
        return f"not {texts}" if texts else "but is empty"
    return f"not {entry.value!r}"


def expected(key: str) -> str:
    """The type and range of a key in words, such as "a number from 0 to 5"."""
    schema = TypeAdapter(Settings).json_schema()
    node = schema
    for part in key.split("."):
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        node = node["properties"][part]
    return ", or ".join(_words(choice) for choice in node.get("anyOf", [node]))


def _words(schema: Mapping[str, typing.Any]) -> str:
    if "enum" in schema:
        return " or ".join(schema["enum"])
    nouns = {"integer": "a whole number", "number": "a number", "string": "a text", "null": "null"}
    nouns |= {"boolean": "true or false"}
    if schema["type"] == "array":
        return f"a list of {schema.get('minItems', 0)} to {schema['maxItems']} texts"
    words = nouns[schema["type"]]
    if "exclusiveMinimum" in schema:
        words += f" above {schema['exclusiveMinimum']:g}"
    if "minimum" in schema:
        words += f" from {schema['minimum']:g}"
    if "maximum" in schema:
        words += f" to {schema['maximum']:g}"
    if "exclusiveMaximum" in schema:
        words += f" to below {schema['exclusiveMaximum']}"
    return words
