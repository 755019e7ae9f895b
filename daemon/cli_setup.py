"""The command line of the first minutes: whether everything is there, and how it sounds."""

import sys
from pathlib import Path

import click

from daemon.cli_help import examples
from daemon.cli_options import settings_options


@click.command(
    epilog=examples(
        "afterword doctor",
        "afterword doctor --no-sound --json | python3 -m json.tool",
    )
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a page.")
@click.option("--no-sound", is_flag=True, help="Neither record nor play anything.")
def doctor(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    as_json: bool,
    no_sound: bool,
) -> None:
    """Check everything Afterword needs, and say what helps.

    Records two seconds and plays a tone. Exit code 0: all is well; 1: it works, but look at the
    warnings; 2: something does not work.
    """
    from daemon import doctor as page

    findings = page.examine(config_file, flags, language, sound=not no_sound)
    sys.exit(page.tell(findings, as_json=as_json))


@click.command(
    epilog=examples(
        "bash:  afterword completion bash >> ~/.bashrc",
        "zsh:   afterword completion zsh >> ~/.zshrc",
        "fish:  afterword completion fish > ~/.config/fish/completions/afterword.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete our commands and options."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    root = context.find_root()
    if kind is not None:
        click.echo(kind(root.command, {}, "afterword", "_AFTERWORD_COMPLETE").source())


COMMANDS = (doctor, completion)
