"""`afterword tune`: find voice, speed and volume by ear, and write them into the settings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from audio.tts.engine import installed_voices
from audio.tts.voices import Voices, resolve_voice
from config.edit import change_settings
from config.errors import ConfigError
from config.settings import FASTEST_WPM, SLOWEST_WPM, VoiceSettings

Play = Callable[[VoiceSettings], None]
Ask = Callable[[str], str]

VOICES = {  # those that differ most and can be understood
    "en": ("en-us", "en", "en-gb", "en-gb-scotland", "en-us+f3", "en-us+m3"),
    "zh": ("cmn-latn-pinyin", "cmn-latn-pinyin+f2", "cmn-latn-pinyin+m3"),
}
RATE_STEP, FINE_RATE_STEP = 30, 10  # words per minute
VOLUMES = (0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Question:
    """One thing to find by ear: a field of the voice's settings, and its candidates' values."""

    title: str
    field: str
    values: tuple[Any, ...]


class StoppedError(Exception):
    """The user has heard enough."""


def listen(names: Sequence[str], voice: VoiceSettings, play: Play, ask: Ask) -> VoiceSettings:
    """Play and ask until all is chosen, or the user stops; what was chosen.

    `names` are the voices to hear beside the one in force.
    """
    best = voice
    try:
        best = _choose(_voices(best, names), best, play, ask)
        for step in (RATE_STEP, FINE_RATE_STEP):
            best = _choose(_rates(best, step), best, play, ask)
        best = _choose(_volumes(best), best, play, ask)
    except StoppedError:
        click.echo("Stopped.")
    return best


def candidates(language: str) -> list[str]:
    """The voices of VOICES that this machine's speech engine has.

    Raises:
        SpeechError: there is no speech engine.
    """
    listed, variants = installed_voices()
    known = Voices(tuple(voice.id for voice in listed), tuple(variants))
    return [name for name in VOICES[language] if is_known(name, known)]


def is_known(name: str, known: Voices) -> bool:
    """Whether the engine has this voice and variant."""
    try:
        resolve_voice(name, known)
    except ConfigError:
        return False
    return True


def _voices(best: VoiceSettings, names: Sequence[str]) -> Question:
    return Question("Voice", "name", tuple(dict.fromkeys((best.name, *names))))


def _rates(best: VoiceSettings, step: int) -> Question:
    now = best.rate_wpm
    rates = (max(SLOWEST_WPM, now - step), now, min(FASTEST_WPM, now + step))
    title = "Words a minute" if step == RATE_STEP else "Words a minute, finer"
    return Question(title, "rate_wpm", tuple(dict.fromkeys(rates)))


def _volumes(best: VoiceSettings) -> Question:
    return Question("Volume", "volume", tuple(sorted({best.volume, *VOLUMES})))


def _choose(question: Question, best: VoiceSettings, play: Play, ask: Ask) -> VoiceSettings:
    """Play all candidates until one is chosen.

    Raises:
        StoppedError: the user wants no more.
    """
    choices = [replace(best, **{question.field: value}) for value in question.values]
    now = getattr(best, question.field)
    click.echo(f"\n{click.style(question.title, bold=True)}")
    while True:
        for number, candidate in enumerate(choices, 1):
            value = getattr(candidate, question.field)
            click.echo(f"  {number}  {value}{'  (now)' if value == now else ''}")
            play(candidate)
        answer = _answer(ask, len(choices))
        if answer is not None:
            return choices[answer - 1] if answer else best


def _answer(ask: Ask, count: int) -> int | None:
    """The number of the best one; 0 keeps what is, None plays all again."""
    while True:
        answer = ask(f"Which is best? 1 to {count}, r again, q stop, Enter as now").strip().lower()
        if answer in ("q", "quit"):
            raise StoppedError
        if answer in ("r", ""):
            return None if answer else 0
        if answer.isdecimal() and 1 <= int(answer) <= count:
            return int(answer)
        click.echo(f"{answer!r} is none of them.")


def changes(before: VoiceSettings, after: VoiceSettings) -> Mapping[str, Any]:
    """The dotted keys that differ, with their new values."""
    return {
        f"voice.{name}": value
        for name, value in vars(after).items()
        if name in ("name", "rate_wpm", "volume") and value != getattr(before, name)
    }


def offer_to_write(path: Path, values: Mapping[str, Any], ask: Ask) -> None:
    """Write the changes, if the user says so.

    Raises:
        ConfigError, OutputError: the file cannot be changed; it is as it was.
    """
    if not values:
        click.echo("\nNothing to change.")
        return
    listed = ", ".join(f"{key}: {value}" for key, value in values.items())
    if ask(f"\nWrite {listed} to {path}? Y/n").strip().lower() not in ("", "y", "yes"):
        click.echo("Nothing was written.")
        return
    change_settings(path, values)
    click.echo("Written. A daemon that runs takes it up with `afterword reload`.")
