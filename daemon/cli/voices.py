"""`afterword voices`: list the voices of this machine, and let one of them be heard."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from audio.tts.engine import installed_voices
from audio.tts.voices import Voice, of_language
from config.errors import ConfigError
from config.settings import Settings

ENGLISH = "Once upon a time there was a little fox, who lived near the sea."
CHINESE = "床前明月光，疑是地上霜。"


def sample_text(voice: str) -> str:
    """A sentence to try a voice with."""
    base = voice.rpartition("/")[2].partition("+")[0].casefold()
    return CHINESE if of_language([Voice("", "", base)], "zh") else ENGLISH


def show(language: str | None, in_force: str) -> None:
    """Print a line for each voice: what to write in the settings, its language, its name.

    Raises:
        ConfigError: no voice speaks this language.
        SpeechError: there is no speech engine.
    """
    voices, variants = installed_voices()
    chosen = of_language(voices, language) if language else voices
    if not chosen:
        known = ", ".join(sorted({voice.language.partition("-")[0] for voice in voices}))
        raise ConfigError(f"No voice speaks {language!r}; choose one of: {known}.")
    for line in _table(chosen, in_force):
        click.echo(line)
    click.echo(f"\nAny of them can be coloured, such as {chosen[0].short}+f3, by one of these:")
    listed = ", ".join(sorted(variants, key=str.casefold))
    click.echo(click.wrap_text(listed, 80, "  ", "  "))


def _table(voices: list[Voice], in_force: str) -> Iterator[str]:
    base = in_force.partition("+")[0].casefold()
    width = max(len(voice.short) for voice in voices)
    for voice in voices:
        is_used = base in (voice.short, voice.id.casefold())
        mark = click.style("*", fg="green", bold=True) if is_used else " "
        yield f"{mark} {voice.short:<{width}}  {voice.name}"


def speak(settings: Settings, voice: str, text: str | None, out: Path | None) -> None:
    """Speak a sentence with a voice, aloud or into a WAV file.

    Raises:
        ConfigError: there is no such voice.
        AudioDeviceError, OutputError, SpeechError: it cannot be heard.
    """
    from dataclasses import replace

    from daemon.components import open_speech_output

    chosen = replace(settings, voice=replace(settings.voice, name=voice))
    with closing(open_speech_output(chosen, out)) as speaker:
        speaker.speak([text or sample_text(voice)], lambda: False)
