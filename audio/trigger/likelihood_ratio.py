"""Likelihood-ratio test of a trigger phrase against the words said most (keyword spotting)."""

from collections.abc import Iterable

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioRingBuffer, level_percentile_db, levels_db
from audio.phrases import COMMON_WORDS, Phrase, dissimilar
from audio.stt.vosk_engine import UNKNOWN, BackgroundRecognizer, Hypothesis, VoskEngine

_MAX_COUNTED_WORDS = 2  # of a longer phrase
_GAIN_NATS = 9.75  # for each of them, both gains together, by which the phrase must win
_MIN_GAIN_NATS = 4.0  # in the loudest noise
_GAIN_NATS_PER_DB = 0.325  # less for each dB by which noise is nearer to the voice than ...
_CLEAR_DB = 39.0  # ... this
_SPEECH_PERCENTILE = 0.8  # of the levels in a phrase: how loud the voice is
_NOISE_PERCENTILE = 0.05  # of the levels around a phrase: the noise, for noise has gaps, too
_MIN_GAIN_SHARE = 0.38  # of the needed gain that each of the two gains must have
_SURE_SHARE = 0.8  # of it in context alone: the other gain was then never too small
_SLOW_WORD_SECONDS = 0.78  # a phrase that took longer for each counted word must win by more
_ONSET_DB = 25.0  # below the voice: a phrase begins with the first block that is no softer
_MARGIN_SECONDS = 0.1  # before and after the phrase that are heard with it alone
_NOISE_BEFORE_SECONDS, _NOISE_AFTER_SECONDS = 1.5, 1.0  # around a phrase: there noise is measured
_MAX_WORD_SECONDS = 1.0  # silence before a phrase is sometimes taken for a part of it
_ALTERNATIVES = 8


def earliest_start(phrase: Phrase, start: float, end: float) -> float:
    """The earliest time at which a phrase found from `start` to `end` seconds can have begun."""
    return max(start, end - _MAX_WORD_SECONDS * len(phrase.words))


class ContextScore:
    """Log likelihood ratio of a sound with the phrase and without, among other words."""

    def __init__(
        self, text: str, among: BackgroundRecognizer, without: BackgroundRecognizer
    ) -> None:
        self._text = text
        self._among = among
        self._without = without

    def hear(self, pcm: bytes) -> None:
        """Hear more of the sound, without waiting."""
        self._among.hear(pcm)
        self._without.hear(pcm)

    def gain(self) -> float:
        """The ratio, in nats, of all sound; waits for the recognisers."""
        among, without = self._among.finish(), self._without.finish()
        return _best(among.result(), self._text) - _best(without.result())

    def drop(self) -> None:
        """Stop without a result."""
        self._among.drop()
        self._without.drop()


def _needed_gain(sound: AudioRingBuffer, start: float, end: float) -> float:
    """The gain for each word, in nats: in noise also the phrase itself is less likely.

    The signal-to-noise ratio is measured between the phrase and the quiet moments around it.
    """
    speech = levels_db(sound.since(start, end), SAMPLE_RATE)
    around = sound.since(start - _NOISE_BEFORE_SECONDS, end + _NOISE_AFTER_SECONDS)
    noise = levels_db(around, SAMPLE_RATE)
    snr_db = 0.0
    if speech:
        snr_db = level_percentile_db(speech, _SPEECH_PERCENTILE)
        snr_db -= level_percentile_db(noise, _NOISE_PERCENTILE)
    gain = _GAIN_NATS - _GAIN_NATS_PER_DB * (_CLEAR_DB - snr_db)
    return min(_GAIN_NATS, max(_MIN_GAIN_NATS, gain))


def onset(sound: AudioRingBuffer, start: float, end: float) -> float:
    """The time of the first loud moment from `start` to `end`, in seconds.

    The recogniser stretches a soft first word, as "hey", over the silence before it.
    """
    levels = levels_db(sound.since(start, end), SAMPLE_RATE)
    limit = level_percentile_db(levels, _SPEECH_PERCENTILE) - _ONSET_DB if levels else 0.0
    first = next((at for at, level in enumerate(levels) if level >= limit), 0)
    return start + first * CHUNK_SECONDS


def _best(paths: Iterable[Hypothesis], text: str = "") -> float:
    """The score of the best path that holds the text; minus infinity where none does."""
    found = [path.score for path in paths if not text or f" {text} " in f" {path.text} "]
    return max(found, default=float("-inf"))


class LikelihoodRatio:
    """Compares how likely a sound is as the phrase and as any of the 3,000 words said most.

    Sound that is the phrase becomes far more likely by it; sound that only resembles it does not,
    as some other words fit about as well. The comparison is made twice: with the words around it,
    and for the phrase alone. Neither is enough: around a phrase that was not said, other words
    fit that end or begin elsewhere; and where only a part of it was said, the context makes up.
    A drawn-out phrase must win by more, as each moment of it should speak for the phrase.
    These are the filler models of keyword spotting (Rose and Paul, "A hidden Markov model based
    keyword recognition system", 1990), with words for fillers.
    """

    def __init__(self, engine: VoskEngine) -> None:
        self._engine = engine
        self._words = engine.frequent_words or sorted(filter(engine.knows, COMMON_WORDS))
        self._fillers: dict[tuple[str, ...], list[str]] = {}

    def begin(self, phrase: Phrase, pcm: bytes) -> ContextScore:
        """Begin to hear the phrase with the words around it, at best while it is being said."""
        text, fillers = " ".join(phrase.words), self._fillers_of(phrase)
        # A priori, the phrase is as likely as all the words together.
        among = self._in_background([*[text] * len(fillers), *fillers], pcm, _ALTERNATIVES)
        return ContextScore(text, among, self._in_background(fillers, pcm))

    def passes(
        self,
        phrase: Phrase,
        sound: AudioRingBuffer,
        start: float,
        end: float,
        context: ContextScore,
    ) -> bool:
        """True if the phrase was said from `start` to `end`, in seconds.

        Takes 0.05 s if `context` has heard the sound before; three times as much where in doubt.
        """
        start = earliest_start(phrase, start, end)
        words = min(len(phrase.words), _MAX_COUNTED_WORDS)
        needed = words * _needed_gain(sound, start, end)
        seconds = end - onset(sound, start, end)
        together = needed * max(1.0, seconds / (_SLOW_WORD_SECONDS * words))
        in_context = context.gain()
        if in_context >= _SURE_SHARE * together:  # for the user waits
            return True
        if in_context < _MIN_GAIN_SHARE * needed:
            return False
        alone = self._gain_alone(
            phrase, sound.since(start - _MARGIN_SECONDS, end + _MARGIN_SECONDS)
        )
        return alone >= _MIN_GAIN_SHARE * needed and in_context + alone >= together

    def _gain_alone(self, phrase: Phrase, pcm: bytes) -> float:
        other = self._in_background(self._fillers_of(phrase), pcm).finish()
        itself = self._in_background([" ".join(phrase.words)], pcm).finish()
        return _best(itself.result()) - _best(other.result())

    def _in_background(
        self, entries: list[str], pcm: bytes, count: int = 1
    ) -> BackgroundRecognizer:
        return BackgroundRecognizer(lambda: self._engine.paths(entries, count), pcm)

    def _fillers_of(self, phrase: Phrase) -> list[str]:
        """The frequent words, without those that would be heard for the phrase's own."""
        if phrase.words not in self._fillers:
            self._fillers[phrase.words] = [*dissimilar(self._words, phrase.words), UNKNOWN]
        return self._fillers[phrase.words]
