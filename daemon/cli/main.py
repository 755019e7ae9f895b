"""The command line: what `afterword` understands.

Nothing heavy is imported here at the top: `afterword --help` answers in 0.2 s.
"""

import contextlib
import errno
import os
import signal
import sys
from functools import partial
from pathlib import Path

import click

from audio.native_stderr import keep_stderr_for_python
from config.errors import AfterwordError, OutputError
from daemon.cli import control, setup, weights, wyoming
from daemon.cli.help import WIDTH, SectionedGroup, examples
from daemon.cli.history import history
from daemon.cli.options import FILE, settings_options


@click.group(
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    epilog=examples(
        "afterword doctor                                   is everything there?",
        "afterword run                                      listen, until Ctrl-C",
        'afterword say "Once upon a time there was a fox"   typed instead of spoken',
        "afterword service install                          from now on, at every login",
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


@cli.command(
    epilog=examples(
        "afterword run",
        "afterword run --set trigger.phrases='[tell me a story]'",
        "afterword run --wav seed.wav --out reply.wav",
    )
)
@settings_options
@click.option("--wav", type=FILE, help="Hear this recording (WAV, FLAC) instead of the microphone.")
@click.option("--out", type=FILE, help="Write the speech to this WAV file instead of playing it.")
@click.option("--wait-for-microphone", is_flag=True, help="Start without one, and wait for it.")
def run(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    wav: Path | None,
    out: Path | None,
    wait_for_microphone: bool,
) -> None:
    """Listen, and carry on what is said, until stopped or until the recording ends."""
    from daemon.cli import run

    if wav and wait_for_microphone:
        raise click.UsageError("--wav and --wait-for-microphone exclude each other.")
    loaded = run.load_settings(config_file, flags, language)
    if wav:
        run.run_recording(loaded.settings, wav, out)
    else:
        read = partial(run.read_settings, config_file, flags, language)
        run.run_microphone(loaded, read, out, wait_for_microphone=wait_for_microphone)


@cli.command(
    epilog=examples(
        'afterword say "Once upon a time there was a fox"',
        'afterword say "The old sailor" --no-speech --set model.temperature=0.9',
        "afterword say 武 --language zh",
        'afterword say "The old sailor" --out reply.wav',
        "fortune | afterword say - --out - | aplay",
    )
)
@settings_options
@click.argument("seed")
@click.option("--out", type=FILE, help="Write the speech to this WAV file instead of playing it.")
@click.option("--no-speech", is_flag=True, help="Only print the continuation.")
@click.option("--quiet", is_flag=True, help="Only speak.")
@click.option("--daemon", is_flag=True, help="Let the running daemon speak, with its settings.")
def say(
    seed: str,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    out: Path | None,
    no_speech: bool,
    quiet: bool,
    daemon: bool,
) -> None:
    """Continue SEED: print the continuation as it comes, and speak it.

    SEED may be "-": it is read from standard input then. --out - writes the sound to standard
    output, and the text to standard error. With --daemon nothing is printed, and the command
    returns at once.
    """
    if daemon and (config_file or flags or language or out or no_speech or quiet):
        raise click.UsageError("--daemon goes with no other option.")
    if no_speech and (out or quiet):
        raise click.UsageError("--no-speech goes with neither --out nor --quiet.")
    if str(out) == "-" and sys.stdout.isatty():
        raise click.UsageError("--out - would write a sound file onto the terminal.")
    if seed == "-":
        from daemon.cli.say import read_seed

        seed = read_seed()
    if daemon:
        from daemon.control import client

        client.ask("say", seed=seed)
        return
    if not any(character.isalnum() for character in seed):
        raise click.UsageError("SEED holds no word to carry on from.")
    from daemon.cli import run
    from daemon.cli import say as saying

    settings = run.load_settings(config_file, flags, language).settings
    saying.say(settings, seed, out, speech=not no_speech, quiet=quiet)


@cli.command(epilog=examples("afterword config", "afterword config | grep voice -A 4"))
@settings_options
def config(config_file: Path | None, flags: tuple[str, ...], language: str | None) -> None:
    """Print the settings in force, each with where it came from."""
    from daemon.cli import run

    run.show_config(run.load_settings(config_file, flags, language))


@cli.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List, fetch and verify the speech recognition models (Vosk)."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list")
def list_models() -> None:
    """Print each model, where it lies and whether it is there."""
    from daemon.cli import run

    run.list_models()


_languages = click.argument("language", type=click.Choice(["en", "zh", "all"]), default="en")


@models.command("fetch")
@_languages
def fetch_models(language: str) -> None:
    """Download a model (40 MB) and check every file of it; nothing is done where it is there."""
    from daemon.cli import run

    run.fetch_models(language)


@models.command("verify")
@_languages
def verify_models(language: str) -> None:
    """Check every file of a model against its known SHA-256."""
    from daemon.cli import run

    run.verify_models(language)


_COMMANDS = (*wyoming.COMMANDS, *setup.COMMANDS, *weights.COMMANDS)
for _command in (*_COMMANDS, *control.COMMANDS, history):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; what the user can mend is told in one sentence, with its exit code.

    Leaves without taking the interpreter apart: with torch loaded that lasts up to a second, in
    which a stopped daemon would seem to hang, and every command has already closed what it opened.
    """
    _mend_standard_streams()
    keep_stderr_for_python()
    # Until a command has its own handler, SIGTERM leaves as Ctrl-C does: through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # Half-loaded libraries complain in their destructors then, which helps nobody.
    sys.unraisablehook = lambda _: None
    code = _run()
    with contextlib.suppress(OSError):  # the reader of a pipe may have left
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _mend_standard_streams() -> None:
    """Open what the caller has closed, or the next file of ours would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _run() -> int:
    from daemon.systemd.journal import format_error

    try:
        cli(prog_name="afterword")
    except AfterwordError as error:
        click.echo(format_error(str(error)), err=True)
        return error.exit_code
    except SystemExit as end:  # how click tells its exit code
        return end.code if isinstance(end.code, int) else 1
    except MemoryError:
        click.echo(format_error("There is not enough memory; close other programs."), err=True)
        return AfterwordError.exit_code
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO):
            raise
        reason = f"Standard output cannot be written: {error.strerror}."
        with contextlib.suppress(OSError):
            click.echo(format_error(reason), err=True)
        return OutputError.exit_code
    return 0
