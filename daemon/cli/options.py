"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

FILE = click.Path(path_type=Path)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads settings."""
    options = [
        click.option("--config", "config_file", type=FILE, help="A settings file, not yours."),
        click.option(
            "--set",
            "flags",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change one setting for this run, such as --set voice.rate_wpm=130.",
        ),
        click.option("--language", type=click.Choice(["en", "zh"]), help="Instead of the set one."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
