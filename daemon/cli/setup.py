"""The command line of the first minutes: whether everything is there, and how it sounds."""

import sys
from pathlib import Path

import click

from daemon.cli.help import examples
from daemon.cli.options import FILE, settings_options


@click.command(
    epilog=examples(
        "afterword doctor",
        "afterword doctor --no-sound --json | python3 -m json.tool",
        'afterword doctor --phrase "hey computer"',
    )
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a page.")
@click.option("--no-sound", is_flag=True, help="Neither record nor play anything.")
@click.option("--phrase", metavar="WORDS", help="Measure this trigger phrase instead.")
@click.option(
    "--positives", type=FILE, metavar="DIR", help="Recordings of the phrase, one to a file."
)
@click.option(
    "--negatives", type=FILE, metavar="DIR", multiple=True, help="Recordings of other speech."
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
    """Check everything Afterword needs, and say what helps.

    Records two seconds and plays a tone. Exit code 0: all is well; 1: it works, but look at the
    warnings; 2: something does not work.

    With --phrase it plays recordings through the hearing instead, and prints how many of the phrase
    are missed and how often other speech is taken for it; synthetic voices speak where there are no
    folders.
    """
    if phrase is None and (positives or negatives):
        raise click.UsageError("--positives and --negatives go with --phrase.")
    if phrase is not None:
        if as_json or no_sound:
            raise click.UsageError("--json and --no-sound do not go with --phrase.")
        from daemon.cli import run
        from daemon.doctor import trigger_phrase

        settings = run.load_settings(config_file, flags, language).settings
        trigger_phrase.print_lines(trigger_phrase.judge(settings, phrase, positives, negatives))
        return
    from daemon.doctor import report as page

    findings = page.examine(config_file, flags, language, sound=not no_sound)
    sys.exit(page.print_report(findings, as_json=as_json))


@click.command(
    epilog=examples(
        "afterword devices",
        "afterword devices --json --no-level",
        'afterword run --set "audio.input=USB Headset"',
    )
)
@settings_options
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of a list.")
@click.option("--no-level", is_flag=True, help="Do not open the microphones to see how loud it is.")
def devices(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    as_json: bool,
    no_level: bool,
) -> None:
    """List microphones and loudspeakers, which is chosen, and how loud each microphone is.

    An arrow marks what audio.input and audio.output choose. Either takes a name in the first
    column, the one in the second, or an unmistakable part of one. Each microphone is heard for half
    a second.
    """
    from daemon.cli import run
    from daemon.doctor.devices import print_devices

    settings = run.load_settings(config_file, flags, language).settings
    print_devices(settings, as_json=as_json, listen=not no_level)


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


@click.command(
    epilog=examples(
        "afterword voices --language en",
        "afterword voices --sample en-gb-scotland",
        "afterword voices --sample cmn-latn-pinyin --text 白日依山尽 --out sample.wav",
    )
)
@click.option("--config", "config_file", type=FILE, help="A settings file, not yours.")
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
@click.option("--language", metavar="LANGUAGE", help="Only voices of it: en, en-gb, zh, de, ...")
@click.option("--sample", metavar="VOICE", help="Let this one speak, instead of listing.")
@click.option("--text", help="What it shall say.")
@click.option("--out", type=FILE, help="Write the sample to this WAV file instead of playing it.")
def voices(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    sample: str | None,
    text: str | None,
    out: Path | None,
) -> None:
    """List the voices of the speech engine, or hear one of them.

    The one in force is marked with a star. What stands first in a line goes into voice.name.
    """
    from daemon.cli import voices as them
    from daemon.cli.run import load_settings

    if not sample and (text or out):
        raise click.UsageError("--text and --out go with --sample.")
    settings = load_settings(config_file, flags, None).settings
    if sample:
        them.speak(settings, sample, text, out)
    else:
        them.show(language, settings.voice.name)


@click.command(epilog=examples("afterword tune", "afterword tune --language zh"))
@settings_options
@click.option("--text", help="The sentence to hear.")
@click.option("--out", type=FILE, help="Write each sample to a WAV file in this folder instead.")
def tune(
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    text: str | None,
    out: Path | None,
) -> None:
    """Find voice, speed and volume by ear, and write them into your settings.

    Plays one sentence several times and asks which is best. Comments and all else in your file
    stay as they are. Answers may come from standard input.
    """
    from config import paths
    from daemon.cli import tune as tuning
    from daemon.cli.run import load_settings
    from daemon.cli.samples import Samples

    def ask(question: str) -> str:
        return str(click.prompt(question, default="", show_default=False, prompt_suffix=" "))

    settings = load_settings(config_file, flags, language).settings
    names = tuning.candidates(settings.language)
    with Samples(settings, text, out) as samples:
        chosen = tuning.listen(names, settings.voice, samples.play, ask)
    values = tuning.changes(settings.voice, chosen)
    tuning.offer_to_write(config_file or paths.config_file(), values, ask)


COMMANDS = (doctor, devices, voices, tune, completion)
