"""Recordings to judge a phrase by where there are no real ones: what espeak-ng's voices say.

Synthetic voices speak more alike and more clearly than people, so the result is a first glance.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources

from audio.evaluation.trigger_score import Sound
from audio.near_words import near_phrases
from audio.stt.vosk_engine import RATE
from audio.tts.engine import RATE as SPOKEN_RATE
from audio.tts.engine import SpeechEngine

_VOICES = {
    "en": ("en-us", "en-us+f3", "en-us+m7", "en-gb-x-rp", "en-gb-x-rp+f2", "en-gb-scotland+m3"),
    "zh": ("cmn-latn-pinyin", "cmn-latn-pinyin+f2", "cmn-latn-pinyin+f4", "cmn-latn-pinyin+m3"),
}
_SPEEDS = (120, 150, 185)  # words per minute
_NEAR = {"en": "I said {} to them, and {} again.", "zh": "我说{}，又说{}。"}


@dataclass(frozen=True)
class OwnRecordings:
    """Sounds of the phrase, and sounds without it."""

    positives: tuple[Sound, ...]
    negatives: tuple[Sound, ...]


def make(phrase: str, words: tuple[str, ...], language: str) -> OwnRecordings:
    """Let each voice say the phrase at each speed, and ordinary sentences and near-phrases once.

    Raises:
        SpeechError: the speech engine does not work.
    """
    near = [_NEAR[language].format(entry, entry) for entry in near_phrases(words)]
    ordinary = (
        resources.files("audio.evaluation").joinpath(f"ordinary-{language}.txt").read_text("utf-8")
    )
    sentences = [*ordinary.splitlines(), *near]
    positives: list[Sound] = []
    negatives: list[Sound] = []
    for voice in _VOICES[language]:
        for speed in _SPEEDS:
            positives += _spoken(voice, speed, [phrase])
        negatives += _spoken(voice, _SPEEDS[1], sentences)
    return OwnRecordings(tuple(positives), tuple(negatives))


def _spoken(voice: str, speed: int, texts: Iterable[str]) -> Iterator[Sound]:
    engine = SpeechEngine(voice, speed, 0.8)
    try:
        for text in texts:
            yield _resampled(engine.synthesize)(text)
    finally:
        engine.close()


def _resampled(render: Callable[[str], Sound]) -> Callable[[str], Sound]:
    import numpy as np
    import soxr

    def at_our_rate(text: str) -> Sound:
        sound = soxr.resample(render(text), SPOKEN_RATE, RATE)
        lead = np.zeros(RATE // 2, np.int16)  # a voice that starts at once is no natural one
        return np.concatenate([lead, sound])

    return at_our_rate
