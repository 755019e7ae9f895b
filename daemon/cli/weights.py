"""`afterword weights`: lists weights, restores earlier ones, and asks the daemon to reload."""

import time
from collections.abc import Iterator
from pathlib import Path

import click

from config.errors import AfterwordError, NotRunningError, RefusedError, WeightsError
from config.settings import Settings
from daemon.cli.help import examples
from daemon.cli.options import load_settings, settings_options
from daemon.control import client
from daemon.control.status import Status
from model.checkpoints import store
from model.checkpoints.store import SHIPPED, WeightsInfo


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
        list_weights(load_settings(config_file, flags, language).settings)


@weights.command("use")
@settings_options
@click.argument("name", required=False)
@click.option("--previous", is_flag=True, help="Use the weights that were replaced last.")
def use_weights(
    name: str | None,
    previous: bool,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
) -> None:
    """Use the weights of this NAME; a running daemon takes them between two replies.

    The weights in use until now are kept: --previous goes back to them.
    """
    if bool(name) == previous:
        raise click.UsageError("Give a NAME from `afterword weights`, or --previous.")
    settings = load_settings(config_file, flags, language).settings
    if settings.model.weights is not None:
        raise RefusedError(
            f"The settings want {settings.model.weights}; take model.weights out of them first."
        )
    name = name or _name_of_previous(settings)
    store.restore(settings.language, name)
    click.echo(f"{name} is in place.")
    try:
        client.ask("reload", wait="yes")
    except NotRunningError:
        click.echo("It is used from the next start on.")
    else:
        click.echo("The running daemon has looked at it.")


def list_weights(settings: Settings) -> None:
    """Print name, date, size, language, quality and provenance of each; mark the one in use."""
    status = _daemon_status(settings.language)
    used = (status["weights"]["name"], status["models"]["weights"]) if status else None
    for info in _all(settings):
        in_use = (info.name, str(info.path)) == used if used else info.path == _next(settings)
        click.echo(_line(info, in_use))
    if status and (reason := status["refused"]):
        click.echo(f"Refused: {reason}", err=True)


def _name_of_previous(settings: Settings) -> str:
    earlier = store.previous(store.own_weights(settings.language))
    if not earlier:
        raise WeightsError("There are no previous weights; a training keeps those it replaces.")
    return earlier[0].name


def _daemon_status(language: str) -> Status | None:
    """The status of a daemon that serves this language; None if no such daemon answers."""
    try:
        status = client.status()
    except AfterwordError:
        return None
    return status if status.get("language") == language else None


def _next(settings: Settings) -> Path:
    """The weights file that the next start loads."""
    return store.find_weights(settings.language, settings.model.weights)


def _all(settings: Settings) -> Iterator[WeightsInfo]:
    """The weights in place, then the earlier ones, the shipped ones last."""
    own = store.own_weights(settings.language)
    place = _next(settings)
    if place != own and settings.model.weights is not None:
        yield store.describe(place)
    if own.is_file():
        yield store.describe(own)
    yield from store.previous(own)
    try:
        yield store.describe(store.shipped_weights(settings.language))
    except WeightsError:  # none are shipped for this language
        return


def _line(info: WeightsInfo, in_use: bool) -> str:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(info.made_at))
    date = "with Afterword" if info.name == SHIPPED else made
    bits = "    –" if info.bits_per_byte is None else f"{info.bits_per_byte:5.3f}"
    language = info.language or "damaged?"
    text = f"{'*' if in_use else ' '} {info.name:<20} {date:<16} {info.size / 1e6:6.1f} MB  "
    return f"{text}{language}  {bits} bits/byte  {info.provenance}".rstrip()
