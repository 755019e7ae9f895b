"""The command line of the weights: which there are, and going back to earlier ones."""

from pathlib import Path

import click

from daemon.cli.help import examples
from daemon.cli.options import settings_options


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "afterword weights                       the newest first, with their names",
        "afterword weights use --previous        those before the last training",
        "afterword weights use shipped           those that came with Afterword",
    ),
)
@settings_options
@click.pass_context
def weights(
    context: click.Context, config_file: Path | None, flags: tuple[str, ...], language: str | None
) -> None:
    """List the weights that were trained here, or go back to earlier ones."""
    if context.invoked_subcommand is None:
        from daemon.cli import weights_commands

        weights_commands.list_weights(config_file, flags, language)


@weights.command("use")
@settings_options
@click.argument("name", required=False)
@click.option("--previous", is_flag=True, help="Those that were replaced last.")
def use_weights(
    name: str | None,
    previous: bool,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
) -> None:
    """Use the weights of this NAME; a running daemon takes them between two replies.

    Those in use until now are kept, so that --previous goes back again.
    """
    if bool(name) == previous:
        raise click.UsageError("Give a NAME from `afterword weights`, or --previous.")
    from daemon.cli import weights_commands

    weights_commands.use_weights(name, config_file, flags, language)


COMMANDS = (weights,)
