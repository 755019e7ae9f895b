"""The command line of the Wyoming server."""

from pathlib import Path

import click

from daemon.cli.help import examples
from daemon.cli.options import settings_options


@click.command(
    epilog=examples(
        "afterword wyoming                                       for this machine alone",
        "afterword wyoming --uri unix:///run/user/1000/afterword/wyoming.sock",
        "afterword wyoming --uri tcp://0.0.0.0:10300 --expose    for everyone in your network",
    )
)
@settings_options
@click.option("--uri", default="tcp://127.0.0.1:10300", show_default=True, help="Where to listen.")
@click.option("--expose", is_flag=True, help="Let other machines connect; there is no password.")
def wyoming(
    config_file: Path | None, flags: tuple[str, ...], language: str | None, uri: str, expose: bool
) -> None:
    """Serve Home Assistant and other Wyoming peers: texts continued and spoken."""
    from daemon.cli import run, wyoming_commands

    settings = run.load_settings(config_file, flags, language).settings
    wyoming_commands.serve(settings, uri, exposed=expose)


COMMANDS = (wyoming,)
