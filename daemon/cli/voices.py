"""`afterword voices`: lists the voices of this machine, speaks a sample, fetches more of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audio.tts.neural import voice_download, voice_files
from audio.tts.voices import Voice, of_language
from config.errors import ConfigError, InputError
from config.languages import LANGUAGES
from daemon.cli.help import examples
from daemon.cli.options import config_option, load_settings, out_option, set_option, text

if TYPE_CHECKING:  # it imports pydantic, which `voices fetch` does without
    from config.settings import Settings

_fetched_language = click.argument("language", type=click.Choice([*LANGUAGES, "all"]))


@click.group(
    invoke_without_command=True,
    epilog=examples(
        "afterword voices --language en",
        "afterword voices --sample en-gb-scotland",
        "afterword voices --sample cmn-latn-pinyin --text 白日依山尽 --out sample.wav",
        "afterword voices fetch zh",
    ),
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
@click.pass_context
def voices(
    context: click.Context,
    config_file: Path | None,
    flags: tuple[str, ...],
    language: str | None,
    sample: str | None,
    text: str | None,
    out: Path | None,
) -> None:
    """List the voices, hear one of them, or fetch those of a language.

    The one in force is marked with a star. What stands first in a line goes into voice.name.
    """
    if context.invoked_subcommand:
        for option in context.command.params:
            if context.params[str(option.name)]:
                wrong = f"{option.opts[0]} does not go with {context.invoked_subcommand}."
                raise click.UsageError(wrong)
        return
    if not sample and (text or out):
        raise click.UsageError("--text and --out go with --sample.")
    settings = load_settings(config_file, flags, None).settings
    if sample:
        speak(settings, sample, text, out)
    else:
        show(language, settings.voice.name)


@voices.command("fetch")
@_fetched_language
def fetch_voices(language: str) -> None:
    """Download the voices of a language and check every file. Complete ones are left alone.

    zh: Kokoro-82M, 90 MB and 334 MB on disk, with 8 Mandarin and 9 English voices. The English
    voice hibari is part of Afterword's packages.
    """
    for name in _languages(language):
        for found in voice_files.for_language(name):
            folder = voice_download.fetch(found, lambda line: click.echo(line, err=True))
            click.echo(f"{name}: {folder}")
        if not voice_files.for_language(name):
            click.echo(f"{name}: its voice comes with Afterword; there is nothing to fetch.")


@voices.command("verify")
@_fetched_language
def verify_voices(language: str) -> None:
    """Check every file of the fetched voices of a language against its known SHA-256."""
    for name in _languages(language):
        for found in voice_files.for_language(name):
            if problems := voice_files.problems(found):
                raise InputError(
                    f"The voices of {found.title} are damaged: {'; '.join(problems)}; "
                    f"run `afterword voices fetch {name}`."
                )
            click.echo(f"{name}: every file is as published.")
        if not voice_files.for_language(name):
            click.echo(f"{name}: its voice comes with Afterword; there is nothing to verify.")


def _languages(language: str) -> list[str]:
    return list(LANGUAGES) if language == "all" else [language]


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
    from audio.tts.engine import installed_voices

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


def speak(settings: "Settings", voice: str, text: str | None, out: Path | None) -> None:
    """Speak a sentence with a voice, through the loudspeaker or into a WAV file.

    Raises:
        ConfigError: there is no such voice.
        AudioDeviceError, OutputError, SpeechError: it cannot be played or written.
    """
    from daemon.components import whole_speech_output

    chosen = replace(settings, voice=replace(settings.voice, name=voice))
    with whole_speech_output(chosen, out) as speaker:
        speaker.speak([text or sample_text(voice)], lambda: False)
