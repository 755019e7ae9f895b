"""The commands that control a running daemon, show its history, or install its service.

They answer at once: nothing heavy is imported here at the top.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

import click

from audio.native_stderr import let_c_libraries_speak
from config.errors import AfterwordError, MissingPackageError, NotRunningError
from config.installation import add_extra_command
from config.standard_streams import json_bytes
from daemon.cli.help import examples
from daemon.control import client
from daemon.control.status import Status, in_lines, wyoming_in_lines
from daemon.systemd import unit


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def status(as_json: bool) -> None:
    """Show what the daemon is doing, and the Wyoming service, if it runs."""
    serving = client.wyoming_status()
    answer: Status | None = None
    try:
        answer = client.status()
    except NotRunningError:
        if serving is None:
            raise
    if as_json:
        click.echo(json_bytes({**(answer or {}), **({"wyoming": serving} if serving else {})}))
    else:
        lines = [*(in_lines(answer) if answer else ["The daemon does not run."])]
        click.echo("\n".join([*lines, *(wyoming_in_lines(serving) if serving else [])]))
    if answer is None:
        sys.exit(NotRunningError.exit_code)


@click.command()
def mute() -> None:
    """Close the microphone; it stays closed after a restart."""
    client.ask("mute")


@click.command()
def unmute() -> None:
    """Open the microphone again."""
    client.ask("unmute")


@click.command()
def hush() -> None:
    """Stop the reply that is being spoken."""
    client.ask("hush")


@click.command()
@click.option("--wait", is_flag=True, help="Return when everything is in use, models included.")
def reload(wait: bool) -> None:
    """Read the settings again, and look for new weights; a running reply goes on.

    The daemon and the Wyoming service, whichever run.
    """
    errors: list[AfterwordError] = []
    acts: tuple[Callable[[], None], ...] = (partial(_reload_daemon, wait), _reload_wyoming)
    for act in acts:
        try:
            act()
        except AfterwordError as error:
            errors.append(error)
    refused = [error for error in errors if not isinstance(error, NotRunningError)]
    if refused or len(errors) == 2:  # the one without the other is no error
        raise (refused or errors)[0]


def _reload_wyoming() -> None:
    client.ask_wyoming("reload")
    click.echo("The Wyoming service has taken the settings in.")


def _reload_daemon(wait: bool) -> None:
    answer = client.ask("reload", **({"wait": "yes"} if wait else {}))
    changed = cast(Iterable[str], answer.get("changed", ()))
    if answer.get("loading"):
        click.echo("The settings are right and are being taken in; `afterword status` tells more.")
    click.echo(f"Changed: {', '.join(changed)}." if changed else "No setting has changed.")


@click.command()
def stop() -> None:
    """End the daemon."""
    client.ask("stop")


@click.command()
def follow() -> None:
    """Print events as they happen, one JSON object a line, words included."""
    with contextlib.suppress(KeyboardInterrupt):  # the way to end it
        for line in client.follow():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


@click.command()
def watch() -> None:
    """Show the daemon live in this terminal: what it hears and says, levels, times.

    m mutes and unmutes, h hushes, q quits. Needs the extra `tui`.
    """
    if not sys.stdout.isatty():
        raise click.UsageError("watch needs a terminal; `afterword follow` prints the same events.")
    if importlib.util.find_spec("textual") is None:
        raise MissingPackageError(
            "`afterword watch` needs the package textual, which is not installed; "
            f"`{add_extra_command('tui')}` brings it."
        )
    from daemon.tui.app import WatchApp

    let_c_libraries_speak()  # Textual draws through the standard error that Python began with
    WatchApp().run()


@click.command(epilog=examples("afterword history | tail -20", "afterword history --clear"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--clear", is_flag=True, help="Delete the history instead of printing it.")
def history(as_json: bool, clear: bool) -> None:
    """Print what was said and answered; recorded only if history.enabled is true."""
    from daemon.observers import history as log  # imports logging

    file = log.history_file()
    if clear:
        log.clear(file)
        return
    if not file.exists():
        click.echo(
            "Nothing is kept; `history: {enabled: true}` in your settings does it.", err=True
        )
    for exchange in log.read(file):
        click.echo(json_bytes(exchange) if as_json else log.as_text(exchange))


@click.group()
def service() -> None:
    """Run the daemon as a service of your session (systemd)."""


@service.command()
@click.option("--wyoming", is_flag=True, help="Install `afterword wyoming`, which opens a port.")
def install(wyoming: bool) -> None:
    """Write the unit, and start it now and at every login."""
    unit.install(click.echo, unit.WYOMING if wyoming else unit.NAME)


@service.command()
def uninstall() -> None:
    """Stop the service and remove its unit; your settings and weights stay."""
    unit.uninstall(click.echo)


@service.command("status")
def service_status() -> None:
    """Show whether the service is installed and running."""
    unit.status(click.echo)
