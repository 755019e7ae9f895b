"""`afterword voices`: lists the voices of this machine, or speaks a sample with one of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from audio.tts.engine import installed_voices
from audio.tts.voices import Voice, of_language
from config.errors import ConfigError
from config.languages import LANGUAGES
from config.settings import Settings
from daemon.cli.help import examples
from daemon.cli.options import config_option, load_settings, out_option, set_option, text
from daemon.components import whole_speech_output


@click.command(
    epilog=examples(
        "afterword voices --language en",
        "afterword voices --sample en-gb-scotland",
        "afterword voices --sample cmn-latn-pinyin --text 白日依山尽 --out sample.wav",
    )
)
@config_option
@set_option
@click.option(
    "--language",
    type=text,
    metavar="LANGUAGE",
    help="List only the voices of this language: en, en-gb, zh, de, ...",
)
@click.option(
    "--sample", type=text, metavar="VOICE", help="Speak a sample with this voice instead."
)
@click.option("--text", type=text, help="Speak this text as the sample.")
@out_option("sample")
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
    if not sample and (text or out):
        raise click.UsageError("--text and --out go with --sample.")
    settings = load_settings(config_file, flags, None).settings
    if sample:
        speak(settings, sample, text, out)
    else:
        show(language, settings.voice.name)


def sample_text(voice: str) -> str:
    """A sentence that the voice can read: of its language, or English."""
    base = voice.rpartition("/")[2].partition("+")[0].casefold()
    for language in LANGUAGES.values():
        if any(f"{base}-".startswith(f"{prefix}-") for prefix in language.voice_prefixes):
            return language.sample_sentence
    return LANGUAGES["en"].sample_sentence


def show(language: str | None, in_force: str) -> None:
    """Print a line for each voice: its value for `voice.name`, then its full name.

    Raises:
        ConfigError: no voice speaks this language.
        SpeechError: there is no speech engine.
    """
    installed, variants = installed_voices()
    chosen = of_language(installed, language) if language else installed
    if not chosen:
        known = ", ".join(sorted({voice.language.partition("-")[0] for voice in installed}))
        raise ConfigError(f"No voice speaks {language!r}; choose one of: {known}.")
    for line in _table(chosen, in_force):
        click.echo(line)
    click.echo(f"\nAny of them can be coloured, such as {chosen[0].short}+f3, by one of these:")
    listed = ", ".join(sorted(variants, key=str.casefold))
    click.echo(click.wrap_text(listed, 80, "  ", "  "))


def _table(listed: list[Voice], in_force: str) -> Iterator[str]:
    base = in_force.partition("+")[0].casefold()
    width = max(len(voice.short) for voice in listed)
    for voice in listed:
        is_used = base in (voice.short, voice.id.casefold())
        mark = click.style("*", fg="green", bold=True) if is_used else " "
        yield f"{mark} {voice.short:<{width}}  {voice.name}"


def speak(settings: Settings, voice: str, text: str | None, out: Path | None) -> None:
    """Speak a sentence with a voice, through the loudspeaker or into a WAV file.

    Raises:
        ConfigError: there is no such voice.
        AudioDeviceError, OutputError, SpeechError: it cannot be played or written.
    """
    chosen = replace(settings, voice=replace(settings.voice, name=voice))
    with whole_speech_output(chosen, out) as speaker:
        speaker.speak([text or sample_text(voice)], lambda: False)
