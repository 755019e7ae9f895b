"""The command line `afterword`: its commands by module, the ways it ends, and its exit codes.

A command's module is imported when the command is called: `afterword --help` imports none, and
takes 0.04 s of processor time.
"""

import contextlib
import errno
import os
import signal
import sys

import click

from audio.native_stderr import keep_stderr_for_python
from config import paths
from config.errors import AfterwordError, OutputError
from config.standard_streams import prepare_standard_streams
from daemon.cli.help import WIDTH, LazyCommands, SectionedGroup, examples

COMMANDS = {  # by the module that defines them
    "daemon.cli.run": ("run",),
    "daemon.cli.say": ("say",),
    "daemon.cli.wyoming": ("wyoming",),
    "daemon.cli.setup": ("doctor", "devices", "config", "completion"),
    "daemon.cli.voices": ("voices",),
    "daemon.cli.tune": ("tune",),
    "daemon.cli.models": ("models",),
    "daemon.cli.weights": ("weights",),
    "model.train.command": ("train",),
    "model.explain.command": ("explain",),
    "model.evaluate.command": ("evaluate",),
    "daemon.cli.control": (
        *("status", "watch", "follow", "history", "mute", "unmute", "hush", "reload", "stop"),
        "service",
    ),
}

# Reasons of an OSError that lie in the user's files and disks, not in a mistake of ours.
FAULTS_OF_THE_PLACE = frozenset(
    (
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG),
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE),
    )
)


@click.group(
    cls=SectionedGroup,
    commands=LazyCommands({name: module for module, names in COMMANDS.items() for name in names}),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    epilog=examples(
        "afterword doctor                                   is everything there?",
        "afterword run                                      listen, until Ctrl-C",
        'afterword say "Once upon a time there was a fox"   typed instead of spoken',
        "afterword service install                          from now on, at every login",
        "afterword train                                    learn from your own texts",
    ),
)
@click.version_option(package_name="afterword", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Say a trigger phrase and a few words of your own; Afterword carries on aloud.

    Everything happens on this machine.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":  # https://no-color.org
        context.color = False


def main() -> None:
    """Run the command line; print an error that the user can mend as one sentence, and exit.

    Ends the process without tearing down the interpreter: with torch loaded that takes up to a
    second, in which a stopped daemon would seem to hang; every command closes what it has opened.
    """
    prepare_standard_streams()
    paths.leave_missing_folder()
    end = keep_stderr_for_python(_tell_last_words)
    # Until a command has its own handler, SIGTERM ends it as Ctrl-C does: through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Destructors of half-loaded libraries raise errors that tell the user nothing.
    sys.unraisablehook = lambda _: None
    try:
        code = _run()
        with contextlib.suppress(OSError):  # the reader of a pipe may have left
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        end()
    os._exit(code)


def _run() -> int:
    try:
        cli(prog_name="afterword")
    except AfterwordError as error:
        return _fail(str(error), error.exit_code)
    except SystemExit as end:  # click ends with its exit code
        return end.code if isinstance(end.code, int) else 1
    except MemoryError:
        return _fail("There is not enough memory; close other programs.", AfterwordError.exit_code)
    except UnicodeEncodeError as error:  # a path of the settings file, which is UTF-8
        letters = ascii(error.object[error.start : error.end])
        reason = f"The encoding of this locale, {error.encoding}, has no letters for {letters}"
        return _fail(f"{reason}; set LC_ALL=C.UTF-8.", AfterwordError.exit_code)
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO):
            reason = f"Standard output cannot be written: {error.strerror}."
            return _fail(reason, OutputError.exit_code)
        if error.filename is None or error.errno not in FAULTS_OF_THE_PLACE:
            raise
        place = os.fsdecode(error.filename)
        return _fail(f"{place} cannot be used: {error.strerror}.", AfterwordError.exit_code)
    return 0


def _tell_last_words(text: str) -> None:
    """Print what a C library printed before it ended the program."""
    _print_error(f"The program ended at once; a library printed last: {' '.join(text.split())}")


def _fail(message: str, exit_code: int) -> int:
    """Print the sentence with which the program ends; its exit code."""
    _print_error(message)
    return exit_code


def _print_error(message: str) -> None:
    from daemon.systemd.journal import format_error  # imports logging

    with contextlib.suppress(OSError):
        click.echo(format_error(message), err=True)
