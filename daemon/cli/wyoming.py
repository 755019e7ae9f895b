"""`afterword wyoming`: the Wyoming server, if the package `wyoming` is installed."""

from pathlib import Path

import click

from daemon.cli.help import examples
from daemon.cli.options import load_settings, read_settings, settings_options
from daemon.memory import try_within_limit
from daemon.systemd import journal
from daemon.wyoming.library import check_library


@click.command(
    epilog=examples(
        "afterword wyoming                                       for this machine alone",
        "afterword wyoming --uri unix:///run/user/1000/afterword/wyoming.sock",
        "afterword wyoming --uri tcp://0.0.0.0:10750 --expose    for everyone in your network",
        "afterword wyoming --uri tcp://0.0.0.0:10750 --expose --zeroconf",
    )
)
@settings_options
@click.option(
    "--uri", default="tcp://127.0.0.1:10750", show_default=True, help="Listen on this address."
)
@click.option(
    "--expose", is_flag=True, help="Accept connections from other machines; there is no password."
)
@click.option(
    "--zeroconf",
    "name",
    is_flag=False,
    flag_value=".",
    default="",
    metavar="[NAME]",
    help="Announce the service in the network, so that Home Assistant finds it.",
)
@click.option(
    "--without",
    type=click.Choice(["handle", "tts", "asr", "wake"]),
    multiple=True,
    help="Switch off a service: the continuation (handle), speech (tts), recognition (asr), "
    "the trigger phrases (wake).",
)
def wyoming(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    uri: str,
    expose: bool,
    name: str,
    without: tuple[str, ...],
) -> None:
    """Continue, speak and recognise for Home Assistant and other Wyoming clients."""
    loaded = load_settings(config_file, flags, language)
    check_library()
    from daemon.wyoming import address, discovery, server
    from daemon.wyoming.loading import Loader, make_loader
    from daemon.wyoming.reloading import Reloader
    from daemon.wyoming.services.engines import Engines
    from daemon.wyoming.services.offer import SERVICES
    from daemon.wyoming.services.shared import Shared

    place = address.check_uri(uri, exposed=expose)
    if name:
        name = discovery.default_name() if name == "." else name
        discovery.check_announced(name, place)
    services = [name for name in SERVICES if name not in without]
    if not services:
        raise click.UsageError("--without leaves no service.")

    def read() -> Loader:
        again = read_settings(config_file, flags, language)
        journal.set_level(again.settings.log.level)
        return make_loader(again, services, loader.in_memory)

    loader = make_loader(loaded, services)
    offer = loader.offer()
    try_within_limit(lambda: loader.load_all(offer))
    engines = Engines(loader.open_engine)
    shared = Shared(offer, loader, engines)
    reloader = Reloader(shared, read)
    server.serve(place, shared, lambda line: click.echo(line, err=True), reloader, name)
