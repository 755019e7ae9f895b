"""`afterword doctor --phrase`: measures false rejects and false accepts of a trigger phrase.

All recordings go through the daemon's own recognition.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from audio.evaluation import synthetic_speech, trigger_score
from audio.evaluation.trigger_score import FalseAccepts, FalseRejects, Noise, Sound
from audio.pcm import SAMPLE_RATE
from audio.phrases import Phrase, parse_phrases, phrase_weakness, syllables
from config.settings import Settings

if TYPE_CHECKING:
    from audio.recognition import AudioRecognition

SNRS_DB = (10, 5)  # speech over babble


def judge(
    settings: Settings, text: str, positives: Path | None, negatives: Sequence[Path]
) -> Iterator[str]:
    """Yield the report line by line, each as soon as it is known.

    Args:
        settings: language and model; their trigger phrases are ignored.
        text: the phrase to judge.
        positives: a folder of recordings of the phrase; None: espeak-ng's voices say it.
        negatives: folders of speech without the phrase; empty: the voices say other sentences.

    Raises:
        ConfigError: the model does not know a word of the phrase.
        InputError: a folder holds no recordings.
        SpeechError: no folder is given, and the speech engine does not work.
    """
    recogniser, phrase = _prepare(settings, text)
    yield as_text(phrase)
    clips = trigger_score.read_folder(positives) if positives else []
    others = [sound for folder in negatives for sound in trigger_score.read_folder(folder)]
    if not clips or not others:
        own = synthetic_speech.make_recordings(text, phrase.words, settings.language)
        clips, others = clips or list(own.positives), others or list(own.negatives)
    yield (
        f"plays {_recordings(clips)} of it {_source(positives)}"
        f" and {_recordings(others)} of other speech {_source(*negatives)}"
    )
    yield false_rejects("clean", trigger_score.count_false_rejects(recogniser, clips))
    crowd = trigger_score.babble(others)
    for snr_db in SNRS_DB:
        heard = trigger_score.count_false_rejects(recogniser, clips, Noise(crowd, snr_db))
        yield false_rejects(f"{snr_db} dB babble", heard)
    yield false_accepts(trigger_score.count_false_accepts(recogniser, others))


def _prepare(settings: Settings, text: str) -> "tuple[AudioRecognition, Phrase]":
    from audio import recognition
    from audio.stt import vosk_models
    from audio.stt.vosk_engine import VoskEngine

    folder = vosk_models.find(settings.language, settings.hearing.model)
    engine = VoskEngine(folder)
    (phrase,) = parse_phrases([text], engine.knows, engine.vocabulary)
    trigger = replace(settings.trigger, phrases=[text], cooldown_seconds=0.0)
    return recognition.open_recognition(folder, trigger, settings.seed, settings.language), phrase


def as_text(phrase: Phrase) -> str:
    """Syllables and weakness of the phrase, in a line."""
    count = sum(map(syllables, phrase.words))
    doubt = phrase_weakness(phrase)
    verdict = f"weak: {doubt}" if doubt else "no weakness in its words"
    return f'"{phrase.text}": {count} syllables, {verdict}'


def false_rejects(condition: str, heard: FalseRejects) -> str:
    """The number of false rejects, and the latency of the other recordings, in a line."""
    line = f"{condition}: missed {heard.missed} of {heard.clips}"
    if not heard.delays:
        return line
    slow = sorted(heard.delays)[int(0.95 * len(heard.delays))]
    return f"{line}; {median(heard.delays):.2f} s after the last word, 95 % within {slow:.2f} s"


def false_accepts(found: FalseAccepts) -> str:
    """The rate of false accepts an hour, and its upper bound at 95 % confidence, in a line."""
    return (
        f"other speech: {found.count} false in {found.hours:.2f} h, {found.rate:.2f} an hour; "
        f"with 95 % confidence below {found.bound:.2f}"
    )


def _recordings(sounds: Sequence[Sound]) -> str:
    minutes = sum(map(len, sounds)) / SAMPLE_RATE / 60
    return f"{len(sounds)} recordings ({minutes:.1f} minutes)"


def _source(*folders: Path | None) -> str:
    named = [str(folder) for folder in folders if folder]
    return f"from {', '.join(named)}" if named else "by synthetic voices"


def print_lines(lines: Iterable[str]) -> None:
    """Print each line as it comes."""
    for line in lines:
        click.echo(line)
