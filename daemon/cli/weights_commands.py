"""What `afterword weights` does: lists weights, puts earlier ones back, lets the daemon know."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from config.errors import AfterwordError, NotRunningError, RefusedError, WeightsError
from config.settings import Settings
from daemon.cli.run import load_settings
from daemon.control import client
from model.checkpoints import store
from model.checkpoints.store import SHIPPED, WeightsInfo


def list_weights(config_file: Path | None, flags: Iterable[str], language: str | None) -> None:
    """Print name, date, size, language, quality and provenance of each, and which are in use."""
    settings = load_settings(config_file, flags, language).settings
    status = _daemons_status()
    serves = status.get("language") == settings.language
    used = status.get("models", {}).get("weights") if serves else None
    name = status.get("weights", {}).get("name") if serves else None
    for kept in _all(settings):
        in_use = (
            (kept.name, str(kept.path)) == (name, used) if serves else kept.path == _next(settings)
        )
        click.echo(_line(kept, in_use))
    if serves and (reason := status.get("refused")):
        click.echo(f"Refused: {reason}", err=True)


def use_weights(
    name: str | None, config_file: Path | None, flags: Iterable[str], language: str | None
) -> None:
    """Put weights of this name, or those replaced last, in place, and let the daemon take them.

    Raises:
        WeightsError: there are none of this name.
        RefusedError: the settings name a file of their own, or the daemon cannot use them.
        OutputError: the folder cannot be written.
    """
    settings = load_settings(config_file, flags, language).settings
    if settings.model.weights is not None:
        raise RefusedError(
            f"The settings want {settings.model.weights}; take model.weights out of them first."
        )
    own = store.own_weights(settings.language)
    if name is None:
        earlier = store.previous(own)
        if not earlier:
            raise WeightsError("There are no previous weights; a training keeps those it replaces.")
        name = earlier[0].name
    store.restore(settings.language, name)
    click.echo(f"{name} is in place.")
    try:
        client.ask("reload", wait="yes")
    except NotRunningError:
        click.echo("It is used from the next start on.")
    else:
        click.echo("The running daemon has looked at it.")


def _daemons_status() -> Mapping[str, Any]:
    try:
        return client.ask("status")
    except AfterwordError:  # it does not run, or does not answer: the files will do
        return {}


def _next(settings: Settings) -> Path:
    """The file that the next start takes."""
    return store.find_weights(settings.language, settings.model.weights)


def _all(settings: Settings) -> Iterator[WeightsInfo]:
    """Those in place, then those before them, the shipped ones last."""
    own = store.own_weights(settings.language)
    place = _next(settings)
    if place != own and settings.model.weights is not None:
        yield store.describe(place)
    if own.is_file():
        yield store.describe(own)
    yield from store.previous(own)
    try:
        yield store.describe(store.shipped_weights(settings.language))
    except WeightsError:  # none come for this language
        return


def _line(kept: WeightsInfo, in_use: bool) -> str:
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.made_at))
    date = "with Afterword" if kept.name == SHIPPED else made
    bits = "    –" if kept.bits_per_byte is None else f"{kept.bits_per_byte:5.3f}"
    language = kept.language or "damaged?"
    text = f"{'*' if in_use else ' '} {kept.name:<20} {date:<16} {kept.size / 1e6:6.1f} MB  "
    return f"{text}{language}  {bits} bits/byte  {kept.provenance}".rstrip()
