"""The command line of what the user has let us keep."""

import click

from daemon.cli.help import examples


@click.command(epilog=examples("afterword history | tail -20", "afterword history --clear"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--clear", is_flag=True, help="Remove it.")
def history(as_json: bool, clear: bool) -> None:
    """Print what was said and answered; kept only where history.enabled is true."""
    import json

    from daemon.observers import history as kept

    file = kept.history_file()
    if clear:
        kept.clear(file)
        return
    if not file.exists():
        click.echo(
            "Nothing is kept; `history: {enabled: true}` in your settings does it.", err=True
        )
    for exchange in kept.read(file):
        as_text = json.dumps(exchange, ensure_ascii=False) if as_json else kept.as_text(exchange)
        click.echo(as_text)
