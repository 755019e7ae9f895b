"""Reporting shared by the model's commands: errors as a sentence with an exit code, short lists."""

import functools
import sys
from collections.abc import Callable, Sequence
from typing import ParamSpec

import click

from config.errors import AfterwordError

P = ParamSpec("P")

_SHOWN = 10  # lines of a list
_MOST_ERRORS = 200  # of a list


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


def first_lines(lines: Sequence[object], most: int = _SHOWN) -> str:
    """A list for people: its first lines, `most` of them, and how many more there are."""
    more = [f"and {len(lines) - most:,} more"] if len(lines) > most else []
    return "\n".join(f"  {printable(line)}" for line in [*lines[:most], *more])


def left_out(errors: Sequence[AfterwordError]) -> str:
    """The lines that tell of files that cannot be used: all, to be mended at once; of many 200."""
    listed = first_lines(errors, _MOST_ERRORS)
    return f"Left out {len(errors):,} file{'s' * (len(errors) != 1)}:\n{listed}"


def printable(line: object) -> str:
    """Text for a terminal; what a file name has of other bytes than UTF-8 and controls is a `?`."""
    return "".join(c if c.isprintable() else "?" for c in str(line))
