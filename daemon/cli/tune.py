"""`afterword tune`: finds voice, speed and volume by ear, and writes them into the settings."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from audio.output.loudspeaker import Loudspeaker
from audio.output.wav_file import WavFilePlayer
from audio.tts.engine import SpeechEngine, installed_voices
from audio.tts.voices import Voices, resolve_voice
from config import paths
from config.edit import change_settings
from config.errors import ConfigError, OutputError
from config.languages import LANGUAGES
from config.settings import FASTEST_WPM, SLOWEST_WPM, Settings, VoiceSettings
from daemon.cli.help import examples
from daemon.cli.options import FILE, load_settings, settings_options, text
from daemon.cli.voices import sample_text

Play = Callable[[VoiceSettings], None]
Ask = Callable[[str], str]

RATE_STEP, FINE_RATE_STEP = 30, 10  # words per minute
VOLUMES = (0.5, 0.7, 0.9, 1.0)


@click.command(epilog=examples("afterword tune", "afterword tune --language zh"))
@settings_options
@click.option("--text", type=text, help="Speak this sentence in every sample.")
@click.option(
    "--out",
    type=FILE,
    help="Write each sample to a WAV file in this folder instead of playing it.",
)
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
    settings = load_settings(config_file, flags, language).settings
    names = candidates(settings.language)
    with Samples(settings, text, out) as samples:
        chosen = listen(names, settings.voice, samples.play, _ask)
    values = changes(settings.voice, chosen)
    offer_to_write(config_file or paths.config_file(), values, _ask)


def _ask(question: str) -> str:
    return str(click.prompt(question, default="", show_default=False, prompt_suffix=" "))


@dataclass(frozen=True)
class Question:
    """A choice to make by ear: a field of the voice's settings, and the values to compare."""

    title: str
    field: str
    values: tuple[Any, ...]


class StoppedError(Exception):
    """The user ends the choosing."""


def listen(names: Sequence[str], voice: VoiceSettings, play: Play, ask: Ask) -> VoiceSettings:
    """Play and ask until everything is chosen or the user stops; the settings chosen so far.

    `names` are the voices to compare with the one in force.
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
    """The voices to compare for a language: those of the table that the speech engine has.

    Raises:
        SpeechError: there is no speech engine.
    """
    listed, variants = installed_voices()
    known = Voices(tuple(voice.id for voice in listed), tuple(variants))
    return [name for name in LANGUAGES[language].tune_voices if is_known(name, known)]


def is_known(name: str, known: Voices) -> bool:
    """True if the engine has this voice and variant."""
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
        StoppedError: the user answers q.
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
    """The number of the best candidate; 0 for the one in force, None to play all again."""
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
    """The settings that differ, by dotted key, with their new values."""
    return {
        f"voice.{name}": value
        for name, value in vars(after).items()
        if name in ("name", "rate_wpm", "volume") and value != getattr(before, name)
    }


def offer_to_write(path: Path, values: Mapping[str, Any], ask: Ask) -> None:
    """Write the changes, if the user agrees.

    Raises:
        ConfigError, OutputError: the file cannot be changed, and is left as it was.
    """
    if not values:
        click.echo("\nNothing to change.")
        return
    listed = ", ".join(f"{key}: {value}" for key, value in values.items())
    if ask(f"\nWrite {listed} to {path}? Y/n").strip().lower() not in ("", "y", "yes"):
        click.echo("Nothing was written.")
        return
    change_settings(path, values)
    click.echo("Saved. Run `afterword reload` to apply it.")


class Samples:
    """Speaks one sentence with many voices; the loudspeaker stays open between the samples."""

    def __init__(self, settings: Settings, text: str | None, folder: Path | None) -> None:
        """With `folder` the samples become numbered WAV files there instead of being played.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._text = text
        self._folder = folder
        self._count = 0
        self._player = Loudspeaker(settings.audio.output)
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(
                    f"The folder {folder} cannot be made: {error.strerror}."
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._player.close()

    def play(self, voice: VoiceSettings) -> None:
        """Speak the sentence with these settings; returns when it has been played.

        Raises:
            ConfigError: there is no such voice.
            AudioDeviceError, OutputError, SpeechError: it cannot be played or written.
        """
        engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
        with ExitStack() as stack:
            stack.enter_context(closing(engine))
            samples = engine.synthesize(self._text or sample_text(voice.name))
            player: Loudspeaker | WavFilePlayer = self._player
            if self._folder:
                player = stack.enter_context(closing(WavFilePlayer(self._file(voice))))
            player.open()
            player.play(samples, _never)
            player.wait(_never)

    def _file(self, voice: VoiceSettings) -> Path:
        assert self._folder is not None  # noqa: S101
        self._count += 1
        name = f"{voice.name.replace('/', '-')}-{voice.rate_wpm}-{round(100 * voice.volume)}"
        return self._folder / f"{self._count:02}-{name}.wav"


def _never() -> bool:
    return False
