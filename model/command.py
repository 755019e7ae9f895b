"""What the model's commands have in common: one sentence for an error, and its exit code."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

import click

from config.errors import AfterwordError

P = ParamSpec("P")


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Make a command print an AfterwordError as a sentence and exit with its code."""

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AfterwordError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)

    return reporting
