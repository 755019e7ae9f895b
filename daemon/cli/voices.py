"""`afterword voices`: lists the voices of this machine, speaks a sample, fetches more of them."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audio.tts.neural import voice_download, voice_files
from audio.tts.voices import (
    ESPEAK,
    Voice,
    find_voice,
    of_engine,
    of_language,
    sample_sentence,
)
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
        "afterword voices --sample hibari",
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
        show(settings, language)


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


def show(settings: "Settings", language: str | None) -> None:
    """Print the voices by engine and language: first the value for `voice.name`, then their names.

    Lines of voices begin with a star or a blank, all others do not.

    Raises:
        ConfigError: no voice speaks this language.
        SpeechError: there is no speech engine.
    """
    from audio.tts.choice import voice_in_force
    from audio.tts.engine import installed_voices

    installed, variants = installed_voices()
    chosen = of_language(installed, language) if language else installed
    if not chosen:
        known = ", ".join(sorted({voice.language.partition("-")[0] for voice in installed}))
        raise ConfigError(f"No voice speaks {language!r}; choose one of: {known}.")
    in_force = settings.voice.name
    with suppress(ConfigError):  # it is not fetched, and in no list
        in_force = voice_in_force(in_force, settings.language)
    used = find_voice(in_force, installed)
    for line in _table(chosen, used):
        click.echo(line)
    if espeak := of_engine(chosen, ESPEAK):
        example = next((voice.short for voice in espeak if voice.short == "en-us"), espeak[0].short)
        click.echo(f"Variants of {ESPEAK}, such as {example}+f3:")
        listed = ", ".join(sorted(variants, key=str.casefold))
        click.echo(click.wrap_text(listed, 80))
        click.echo()
    if used is None:
        click.echo(f"voice.name is {in_force}, which is not in this list.")
    for hint in _hints(language):
        click.echo(hint)


def _table(listed: list[Voice], used: Voice | None) -> Iterator[str]:
    """A header for each engine, and a line for each voice: star, name, language, full name."""
    width = max(len(voice.short) for voice in listed)
    tags = max(len(voice.language) for voice in listed)
    for engine in dict.fromkeys(voice.engine for voice in listed):
        own = of_engine(listed, engine)
        licences = "; ".join(dict.fromkeys(voice.licence for voice in own))
        yield f"{click.style(engine, bold=True)} ({licences})"
        for voice in sorted(own, key=lambda voice: voice.language):
            mark = click.style("*", fg="green", bold=True) if voice == used else " "
            yield f"{mark} {voice.short:<{width}}  {voice.language:<{tags}}  {voice.name}"
        yield ""


def _hints(language: str | None) -> Iterator[str]:
    """What can be added: voices that are to be fetched, and the user's own ones."""
    for files in voice_files.catalogue().values():
        speaks = (files.language, *files.also)
        if files.state != "ready" and (language is None or language.partition("-")[0] in speaks):
            yield (
                f"`afterword voices fetch {files.language}` brings {files.title} "
                f"({' and '.join(speaks)}; {files.download_size / 1e6:.0f} MB)."
            )
    yield "A Piper voice of yours: voice.name is piper:/path/to/voice.onnx."


def speak(settings: "Settings", voice: str, text: str | None, out: Path | None) -> None:
    """Speak a sentence with a voice, through the loudspeaker or into a WAV file.

    No other voice stands in for one that fails.

    Raises:
        ConfigError: there is no such voice.
        AudioDeviceError, OutputError, SpeechError: it cannot be played or written.
    """
    from audio.tts.choice import require_files
    from audio.tts.engine import SpeechEngine, installed_voices
    from daemon.components import whole_speech_output

    require_files(voice)
    listed = [] if text else installed_voices()[0]
    engine = SpeechEngine(voice, settings.voice.rate_wpm, settings.voice.volume)
    with closing(engine), whole_speech_output(settings, out, engine) as speaker:
        speaker.speak([text or sample_sentence(voice, listed)], lambda: False)
