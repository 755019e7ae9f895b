"""What `afterword wyoming` does, where the package `wyoming` is installed."""

from contextlib import closing

import click

from config.errors import MissingPackageError
from config.settings import Settings
from daemon import components


def serve(settings: Settings, uri: str, *, exposed: bool) -> None:
    """Serve Wyoming peers until told to stop.

    Raises:
        MissingPackageError: the library is not installed.
        ConfigError, RefusedError: we cannot or shall not listen there.
        AfterwordError: as those of parts.
    """
    try:
        from daemon.wyoming import server
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            'Wyoming needs its library; `pip install "afterword[wyoming]"` brings it.'
        ) from error
    place = server.check_uri(uri, exposed=exposed)
    generator = components.open_generator(settings)
    with closing(components.open_engine(settings)) as engine:
        shared = server.Shared(generator, engine, server.describe(settings))
        server.serve(place, shared, lambda line: click.echo(line, err=True))
