"""The options of every command that reads settings, and the settings that they give."""

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from config.languages import LANGUAGES
from config.standard_streams import STREAM
from daemon.systemd import journal

if TYPE_CHECKING:  # it imports pydantic, which `say --daemon` and `doctor --help` do without
    from config.load import Loaded

log = logging.getLogger(__name__)

FILE = click.Path(path_type=Path)
_STANDARD_OUTPUT = frozenset(map(Path, ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")))


def text(value: str) -> str:
    """Type of a parameter: text, in which bytes that are not UTF-8 become U+FFFD."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


config_option = click.option(
    "--config", "config_file", type=FILE, help="Read this settings file instead of yours."
)
set_option = click.option(
    "--set",
    "flags",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting for this run, such as --set voice.rate_wpm=130.",
)
_language_option = click.option(
    "--language", type=click.Choice(list(LANGUAGES)), help="Override the configured language."
)


def _speech_file(_: click.Context, __: click.Parameter, out: Path | None) -> Path | None:
    """The value of --out: STREAM under any of its names, but not if it is a terminal."""
    if out not in _STANDARD_OUTPUT:
        return out
    if sys.stdout.isatty():
        raise click.BadParameter(f"{out} would write a sound file onto the terminal.")
    return STREAM


def out_option(spoken: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --out: a WAV file that receives the speech, or whatever else is `spoken`."""
    return click.option(
        "--out",
        type=FILE,
        callback=_speech_file,
        help=f"Write the {spoken} to this WAV file (-: standard output) instead of playing it.",
    )


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: adds --config, --set and --language; read their values by `load_settings`."""
    return config_option(set_option(_language_option(command)))


def load_settings(config_file: Path | None, flags: Iterable[str], language: str | None) -> "Loaded":
    """Settings from all layers; sets up logging at their level, and logs which keys are deprecated.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    loaded = read_settings(config_file, flags, language)
    journal.configure(loaded.settings.log.level)
    for notice in loaded.notices:
        log.warning(notice)
    return loaded


def read_settings(config_file: Path | None, flags: Iterable[str], language: str | None) -> "Loaded":
    """Settings from all layers, with `--language` as the last flag.

    Raises:
        ConfigError: a setting is unknown, of the wrong type or out of range.
    """
    from config.load import load

    return load(config_file, [*flags, *([f"language={language}"] if language else [])])
