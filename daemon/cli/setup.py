"""The commands of the first minutes: doctor, devices, config and completion."""

import sys
from pathlib import Path

import click
import yaml
from click.shell_completion import get_completion_class

from config.load import Loaded
from daemon.cli.help import examples
from daemon.cli.options import FILE, load_settings, settings_options, text


@click.command(
    epilog=examples(
        "afterword doctor",
        "afterword doctor --no-sound --json | python3 -m json.tool",
        'afterword doctor --phrase "hey computer"',
    )
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a page.")
@click.option("--no-sound", is_flag=True, help="Neither record nor play any sound.")
@click.option(
    "--phrase",
    type=text,
    metavar="WORDS",
    help="Measure how reliably this trigger phrase is recognised.",
)
@click.option(
    "--positives",
    type=FILE,
    metavar="DIR",
    help="Measure with the recordings of the phrase in this folder, one to a file.",
)
@click.option(
    "--negatives",
    type=FILE,
    metavar="DIR",
    multiple=True,
    help="Measure with the recordings of other speech in this folder.",
)
def doctor(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    as_json: bool,
    no_sound: bool,
    phrase: str | None,
    positives: Path | None,
    negatives: tuple[Path, ...],
) -> None:
    """Check everything that Afterword needs, and say how to mend what is wrong.

    Records two seconds and plays a tone. Exit code 0: all is well; 1: it works, but look at the
    warnings; 2: something does not work.

    With --phrase it recognises recordings instead, and prints how many of the phrase are missed and
    how often other speech is taken for it; synthetic voices speak where no folder is given.
    """
    if phrase is None and (positives or negatives):
        raise click.UsageError("--positives and --negatives go with --phrase.")
    if phrase is not None:
        if as_json or no_sound:
            raise click.UsageError("--json and --no-sound do not go with --phrase.")
        from daemon.doctor import trigger_phrase

        settings = load_settings(config_file, flags, language).settings
        trigger_phrase.print_lines(trigger_phrase.judge(settings, phrase, positives, negatives))
        return
    from daemon.doctor import report

    findings = report.examine(config_file, flags, language, sound=not no_sound)
    sys.exit(report.print_report(findings, as_json=as_json))


@click.command(
    epilog=examples(
        "afterword devices",
        "afterword devices --json --no-level",
        'afterword run --set "audio.input=USB Headset"',
    )
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array instead of a list.")
@click.option("--no-level", is_flag=True, help="Do not open the microphones for their levels.")
def devices(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    as_json: bool,
    no_level: bool,
) -> None:
    """List microphones and loudspeakers, those chosen, and each microphone's level.

    An arrow marks what audio.input and audio.output choose. Either takes a name in the first
    column, the one in the second, or an unmistakable part of one. The level of each microphone is
    measured for half a second.
    """
    from daemon.doctor.devices import print_devices

    settings = load_settings(config_file, flags, language).settings
    print_devices(settings, as_json=as_json, listen=not no_level)


@click.command(epilog=examples("afterword config", "afterword config | grep voice -A 4"))
@settings_options
def config(config_file: Path | None, flags: tuple[str, ...], language: str | None) -> None:
    """Print the settings in force, and where each of them comes from."""
    show_config(load_settings(config_file, flags, language))


def show_config(loaded: Loaded) -> None:
    """Print the effective settings as YAML, each with its origin in a comment."""
    section = ""
    for key, entry in loaded.entries.items():
        parent, _, name = key.rpartition(".")
        if parent != section and parent:
            click.echo(f"{parent}:")
        section = parent
        text = yaml.safe_dump(
            entry.value, default_flow_style=True, allow_unicode=True, width=10_000
        )
        line = f"{'  ' if parent else ''}{name}: {text.removesuffix('...' + chr(10)).strip()}"
        click.echo(f"{line:<36} # {entry.origin}")


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
    """Print the script that lets a shell complete commands and options."""
    kind = get_completion_class(shell)
    root = context.find_root()
    if kind is not None:
        click.echo(kind(root.command, {}, "afterword", "_AFTERWORD_COMPLETE").source())
