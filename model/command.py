"""Error reporting shared by the model's commands: one sentence and an exit code."""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

import click

from config.errors import AfterwordError

P = ParamSpec("P")


def report_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Decorator: print an AfterwordError as a sentence and exit with its code.

    As a command of `afterword` it leaves that to `daemon.cli.main`.
    """

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AfterwordError as error:
            if click.get_current_context().parent is not None:
                raise
            click.echo(f"Error: {error}", err=True)
            sys.exit(error.exit_code)

    return reporting
