"""`afterword doctor --phrase`: how often a phrase is missed, and how often it wakes by mistake.

Everything goes through the hearing that the daemon uses.
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

RATIOS_DB = (10, 5)


def judge(
    settings: Settings, text: str, positives: Path | None, negatives: Sequence[Path]
) -> Iterator[str]:
    """Lines about the phrase, each as soon as it is known.

    Args:
        settings: language and model; their own phrases are left aside.
        text: the phrase to judge.
        positives: a folder of recordings of it; None lets espeak-ng's voices say it.
        negatives: folders of speech without it; none lets the voices say something else.

    Raises:
        ConfigError: the model does not know a word of the phrase.
        InputError: a folder holds no recordings.
        SpeechError: there is no folder, and the speech engine does not work.
    """
    hearing, phrase = _prepare(settings, text)
    yield in_words(phrase)
    clips = trigger_score.read_folder(positives) if positives else []
    others = [sound for folder in negatives for sound in trigger_score.read_folder(folder)]
    if not clips or not others:
        own = synthetic_speech.make(text, phrase.words, settings.language)
        clips, others = clips or list(own.positives), others or list(own.negatives)
    yield (
        f"plays {_recordings(clips)} of it {_whence(positives)}"
        f" and {_recordings(others)} of other speech {_whence(*negatives)}"
    )
    yield missed("clean", trigger_score.count_false_rejects(hearing, clips))
    crowd = trigger_score.babble(others)
    for ratio in RATIOS_DB:
        heard = trigger_score.count_false_rejects(hearing, clips, Noise(crowd, ratio))
        yield missed(f"{ratio} dB babble", heard)
    yield mistaken(trigger_score.count_false_accepts(hearing, others))


def _prepare(settings: Settings, text: str) -> "tuple[AudioRecognition, Phrase]":
    from audio import recognition
    from audio.stt import vosk_models
    from audio.stt.vosk_engine import VoskEngine

    folder = vosk_models.find(settings.language, settings.hearing.model)
    engine = VoskEngine(folder)
    (phrase,) = parse_phrases([text], engine.knows, engine.vocabulary)
    trigger = replace(settings.trigger, phrases=[text], cooldown_seconds=0.0)
    return recognition.open_recognition(folder, trigger, settings.seed, settings.language), phrase


def in_words(phrase: Phrase) -> str:
    """The verdict on the phrase as text."""
    count = sum(map(syllables, phrase.words))
    doubt = phrase_weakness(phrase)
    verdict = f"weak: {doubt}" if doubt else "no weakness in its words"
    return f'"{phrase.text}": {count} syllables, {verdict}'


def missed(condition: str, heard: FalseRejects) -> str:
    """How many recordings did not trigger, and when the others did."""
    line = f"{condition}: missed {heard.missed} of {heard.clips}"
    if not heard.delays:
        return line
    slow = sorted(heard.delays)[int(0.95 * len(heard.delays))]
    return f"{line}; {median(heard.delays):.2f} s after the last word, 95 % within {slow:.2f} s"


def mistaken(found: FalseAccepts) -> str:
    """How often other speech triggered, and what that says of the true rate."""
    return (
        f"other speech: {found.count} false in {found.hours:.2f} h, {found.rate:.2f} an hour; "
        f"with 95 % confidence below {found.bound:.2f}"
    )


def _recordings(sounds: Sequence[Sound]) -> str:
    minutes = sum(map(len, sounds)) / SAMPLE_RATE / 60
    return f"{len(sounds)} recordings ({minutes:.1f} minutes)"


def _whence(*folders: Path | None) -> str:
    named = [str(folder) for folder in folders if folder]
    return f"from {', '.join(named)}" if named else "by synthetic voices"


def tell(lines: Iterable[str]) -> None:
    """Print each line when it comes."""
    for line in lines:
        click.echo(line)
