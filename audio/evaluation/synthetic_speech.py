"""Synthetic recordings to judge a trigger phrase by: espeak-ng's voices say it, and other words.

Synthetic voices speak more alike and more clearly than people, so the result is a first estimate.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import resources

from audio.evaluation.trigger_score import Sound
from audio.pcm import SAMPLE_RATE
from audio.phrases import confusable_phrases
from audio.tts.engine import SpeechEngine
from audio.tts.sound import RATE as SPOKEN_RATE
from config.languages import LANGUAGES

_SPEEDS_WPM = (120, 150, 185)
_LEAD_SECONDS = 0.5  # of silence; natural speech does not start at once
_VOLUME = 0.8


@dataclass(frozen=True)
class SyntheticRecordings:
    """Sounds of the phrase, and sounds without it."""

    positives: tuple[Sound, ...]
    negatives: tuple[Sound, ...]


def make_recordings(phrase: str, words: tuple[str, ...], language: str) -> SyntheticRecordings:
    """Let each voice say the phrase at each speed, other sentences and confusable phrases once.

    Raises:
        SpeechError: the speech engine does not work.
    """
    spoken = LANGUAGES[language]
    near = [spoken.near_sentence.format(entry, entry) for entry in confusable_phrases(words)]
    ordinary = (
        resources.files("audio.evaluation").joinpath(f"ordinary-{language}.txt").read_text("utf-8")
    )
    sentences = [*ordinary.splitlines(), *near]
    positives: list[Sound] = []
    negatives: list[Sound] = []
    for voice in spoken.evaluation_voices:
        for speed in _SPEEDS_WPM:
            positives += _spoken(voice, speed, [phrase])
        negatives += _spoken(voice, _SPEEDS_WPM[1], sentences)
    return SyntheticRecordings(tuple(positives), tuple(negatives))


def _spoken(voice: str, speed: int, texts: Iterable[str]) -> Iterator[Sound]:
    with closing(SpeechEngine(voice, speed, _VOLUME)) as engine:
        for text in texts:
            yield _resampled(engine.synthesize)(text)


def _resampled(render: Callable[[str], Sound]) -> Callable[[str], Sound]:
    import numpy as np
    import soxr

    def at_sample_rate(text: str) -> Sound:
        sound = soxr.resample(render(text), SPOKEN_RATE, SAMPLE_RATE)
        lead = np.zeros(round(_LEAD_SECONDS * SAMPLE_RATE), np.int16)
        return np.concatenate([lead, sound])

    return at_sample_rate
