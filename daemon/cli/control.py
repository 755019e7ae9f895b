"""The command line of a daemon that runs: control it, and keep it as a service of systemd."""

import contextlib
import sys
from collections.abc import Iterable
from typing import cast

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def status(as_json: bool) -> None:
    """Tell what the daemon is doing."""
    import json

    from daemon.control import client
    from daemon.control.status import in_lines

    answer = client.status()
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else "\n".join(in_lines(answer)))


@click.command()
def mute() -> None:
    """Close the microphone; it stays so over restarts."""
    from daemon.control import client

    client.ask("mute")


@click.command()
def unmute() -> None:
    """Open the microphone again."""
    from daemon.control import client

    client.ask("unmute")


@click.command()
def hush() -> None:
    """Stop the reply that is being spoken."""
    from daemon.control import client

    client.ask("hush")


@click.command()
@click.option("--wait", is_flag=True, help="Until all of it is in use, models included.")
def reload(wait: bool) -> None:
    """Read the settings file again, and look for new weights; a running reply is not disturbed."""
    from daemon.control import client

    answer = client.ask("reload", **({"wait": "yes"} if wait else {}))
    changed, later = (list(cast(Iterable[str], answer.get(of, ()))) for of in ("changed", "later"))
    if answer.get("loading"):
        click.echo("The settings are right and are being taken in; `afterword status` tells more.")
    click.echo(f"Changed: {', '.join(changed)}." if changed else "No setting has changed.")
    if later:
        click.echo(f"These count from the next start on: {', '.join(later)}.")


@click.command()
def stop() -> None:
    """End the daemon."""
    from daemon.control import client

    client.ask("stop")


@click.command()
def follow() -> None:
    """Print the daemon's events as they happen, one JSON object a line, words included."""
    from daemon.control import client

    with contextlib.suppress(KeyboardInterrupt):  # how one ends it
        for line in client.follow():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


@click.command()
def watch() -> None:
    """Show the daemon live in this terminal: what it hears and says, levels, times.

    m mutes and unmutes, h hushes, q quits. Needs the extra `tui`.
    """
    import importlib.util

    if not sys.stdout.isatty():
        raise click.UsageError("watch needs a terminal; `afterword follow` prints the same events.")
    from config.errors import MissingPackageError

    if importlib.util.find_spec("textual") is None:
        raise MissingPackageError(
            "`afterword watch` needs the package textual, which is not installed; install it: "
            "`.venv/bin/pip install textual` in a checkout, or `pipx inject afterword textual`."
        )
    from audio.native_stderr import let_c_libraries_speak
    from daemon.tui.app import WatchApp

    let_c_libraries_speak()  # Textual draws through the standard error that Python began with
    WatchApp().run()


@click.group()
def service() -> None:
    """Keep the daemon as a service of your session (systemd)."""


@service.command()
@click.option("--wyoming", is_flag=True, help="The one for Wyoming peers, which listens on a port.")
def install(wyoming: bool) -> None:
    """Write the unit, start it now and at every login."""
    from daemon.systemd import unit

    unit.install(click.echo, unit.WYOMING if wyoming else unit.NAME)


@service.command()
def uninstall() -> None:
    """Stop the service and remove its unit; your settings and weights stay."""
    from daemon.systemd import unit

    unit.uninstall(click.echo)


@service.command("status")
def service_status() -> None:
    """Tell whether the service is installed and runs."""
    from daemon.systemd import unit

    unit.status(click.echo)


COMMANDS = (status, watch, mute, unmute, hush, reload, stop, follow, service)
