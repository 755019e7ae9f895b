"""`afterword wyoming`: the Wyoming server, if the package `wyoming` is installed."""

from contextlib import closing
from pathlib import Path

import click

from config.errors import MissingPackageError
from daemon import components
from daemon.cli.help import examples
from daemon.cli.options import load_settings, settings_options
from daemon.memory import try_within_limit
from model.inference.loading import load_weights


@click.command(
    epilog=examples(
        "afterword wyoming                                       for this machine alone",
        "afterword wyoming --uri unix:///run/user/1000/afterword/wyoming.sock",
        "afterword wyoming --uri tcp://0.0.0.0:10300 --expose    for everyone in your network",
    )
)
@settings_options
@click.option(
    "--uri", default="tcp://127.0.0.1:10300", show_default=True, help="Listen on this address."
)
@click.option(
    "--expose", is_flag=True, help="Accept connections from other machines; there is no password."
)
def wyoming(
    config_file: Path | None, flags: tuple[str, ...], language: str | None, uri: str, expose: bool
) -> None:
    """Continue and speak texts for Home Assistant and other Wyoming clients."""
    settings = load_settings(config_file, flags, language).settings
    try:
        from daemon.wyoming import server
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            'Wyoming needs its library; `pip install "afterword[wyoming]"` brings it.'
        ) from error
    place = server.check_uri(uri, exposed=expose)
    try_within_limit(lambda: load_weights(settings))
    generator, _ = load_weights(settings)
    with closing(components.open_engine(settings)) as engine:
        shared = server.Shared(
            generator,
            engine,
            server.describe(settings),
            lambda: load_weights(settings, "cpu")[0],
        )
        server.serve(place, shared, lambda line: click.echo(line, err=True))
