"""`afterword tune`: finds voice, speed and volume by ear, and writes them into the settings."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click

from audio.output.loudspeaker import Loudspeaker
from audio.output.wav_file import WavFilePlayer
from audio.pcm import Samples
from audio.tts.choice import voice_in_force
from audio.tts.engine import SpeechEngine, installed_voices
from audio.tts.neural.engines import is_neural
from audio.tts.voices import (
    ESPEAK,
    Voice,
    Voices,
    find_voice,
    of_engine,
    resolve_voice,
    sample_sentence,
)
from config import paths
from config.edit import change_settings
from config.errors import ConfigError, OutputError, SpeechError
from config.languages import LANGUAGES
from config.settings import FASTEST_WPM, SLOWEST_WPM, Settings, VoiceSettings
from daemon.cli.help import examples
from daemon.cli.options import FILE, load_settings, settings_options, text

Play = Callable[[VoiceSettings], None]
Prepare = Callable[[Sequence[VoiceSettings]], None]
Ask = Callable[[str], str]

RATE_STEP, FINE_RATE_STEP = 30, 10  # words per minute
NAME_CHARACTERS = 60  # of a voice in the name of a file; a Piper voice is a path
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
    now = replace(settings.voice, name=voice_in_force(settings.voice.name, settings.language))
    listed, variants = installed_voices()
    names = candidates(settings.language, listed, variants)
    with SamplePlayer(settings, listed, text, out) as samples:
        chosen = listen(names, now, samples.play, _ask, samples.prepare)
    values = changes(now, chosen)
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


def listen(
    names: Sequence[str],
    voice: VoiceSettings,
    play: Play,
    ask: Ask,
    prepare: Prepare = lambda _: None,
) -> VoiceSettings:
    """Play and ask until everything is chosen or the user stops; the settings chosen so far.

    Args:
        names: the voices to compare with the one in force.
        voice: the settings in force.
        play: plays a sample.
        ask: prints a question and returns the answer.
        prepare: is told which samples come next.
    """
    best = voice

    def choose(question: Question) -> VoiceSettings:
        choices = [replace(best, **{question.field: value}) for value in question.values]
        prepare(choices)
        return _choose(question, choices, best, play, ask)

    try:
        best = choose(_voices(best, names))
        for step in (RATE_STEP, FINE_RATE_STEP):
            best = choose(_rates(best, step))
        best = choose(_volumes(best))
    except StoppedError:
        click.echo("Stopped.")
    return best


def candidates(language: str, listed: Sequence[Voice], variants: Iterable[str]) -> list[str]:
    """The voices to compare for a language: those of the table that are installed."""
    of_espeak = Voices(tuple(voice.id for voice in of_engine(listed, ESPEAK)), tuple(variants))

    def is_known(name: str) -> bool:
        if is_neural(name):
            return find_voice(name, listed) is not None
        try:
            resolve_voice(name, of_espeak)
        except ConfigError:
            return False
        return True

    return [name for name in LANGUAGES[language].tune_voices if is_known(name)]


def _voices(best: VoiceSettings, names: Sequence[str]) -> Question:
    return Question("Voice", "name", tuple(dict.fromkeys((best.name, *names))))


def _rates(best: VoiceSettings, step: int) -> Question:
    now = best.rate_wpm
    rates = (max(SLOWEST_WPM, now - step), now, min(FASTEST_WPM, now + step))
    title = "Words a minute" if step == RATE_STEP else "Words a minute, finer"
    return Question(title, "rate_wpm", tuple(dict.fromkeys(rates)))


def _volumes(best: VoiceSettings) -> Question:
    return Question("Volume", "volume", tuple(sorted({best.volume, *VOLUMES})))


def _choose(
    question: Question, choices: Sequence[VoiceSettings], best: VoiceSettings, play: Play, ask: Ask
) -> VoiceSettings:
    """Play all candidates until one is chosen; one that fails is told.

    Raises:
        StoppedError: the user answers q.
    """
    now = getattr(best, question.field)
    click.echo(f"\n{click.style(question.title, bold=True)}")
    while True:
        for number, candidate in enumerate(choices, 1):
            value = getattr(candidate, question.field)
            click.echo(f"  {number}  {value}{'  (now)' if value == now else ''}")
            try:
                play(candidate)
            except SpeechError as error:
                click.echo(f"     {error}", err=True)
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


class SamplePlayer:
    """Speaks one sentence with many voices; the loudspeaker stays open between the samples.

    Each sample has a speech engine of its own, which takes up to 3 s to start. So the next ones
    are synthesized in a thread while one is played.
    """

    def __init__(
        self, settings: Settings, listed: Sequence[Voice], text: str | None, folder: Path | None
    ) -> None:
        """With `folder` the samples become numbered WAV files there instead of being played.

        Args:
            settings: the settings in force, for the loudspeaker.
            listed: the installed voices.
            text: the sentence; None is one in the language of the voice.
            folder: where the WAV files go.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._listed = listed
        self._text = text
        self._folder = folder
        self._count = 0
        self._player = Loudspeaker(settings.audio.output)
        self._thread = ThreadPoolExecutor(1)
        self._sounds: dict[VoiceSettings, Future[Samples]] = {}
        self._engine: SpeechEngine | None = None  # of the newest sample
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
        self._thread.shutdown(wait=False, cancel_futures=True)
        if engine := self._engine:
            engine.close()
        self._thread.shutdown()
        self._player.close()

    def prepare(self, voices: Sequence[VoiceSettings]) -> None:
        """Begin to synthesize the samples of these settings, in this order."""
        for voice in voices:
            if voice not in self._sounds:
                self._sounds[voice] = self._thread.submit(self._synthesize, voice)

    def _synthesize(self, voice: VoiceSettings) -> Samples:
        engine = SpeechEngine(voice.name, voice.rate_wpm, voice.volume)
        self._engine = engine
        with closing(engine):
            return engine.synthesize(self._text or sample_sentence(voice.name, self._listed))

    def play(self, voice: VoiceSettings) -> None:
        """Speak the sentence with these settings; returns when it has been played.

        Raises:
            ConfigError: there is no such voice.
            AudioDeviceError, OutputError, SpeechError: it cannot be played or written.
        """
        self.prepare([voice])
        samples = self._sounds[voice].result()
        with ExitStack() as stack:
            player: Loudspeaker | WavFilePlayer = self._player
            if self._folder:
                player = stack.enter_context(closing(WavFilePlayer(self._file(voice))))
            player.open()
            player.play(samples, _never)
            player.wait(_never)

    def _file(self, voice: VoiceSettings) -> Path:
        assert self._folder is not None  # noqa: S101
        self._count += 1
        name = re.sub(r"[^\w.+-]+", "-", voice.name)[-NAME_CHARACTERS:]
        rate, percent = voice.rate_wpm, round(100 * voice.volume)
        return self._folder / f"{self._count:02}-{name}-{rate}-{percent}.wav"


def _never() -> bool:
    return False
