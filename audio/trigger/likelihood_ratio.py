"""Was it the phrase? A likelihood ratio between the phrase and the words said most."""

from collections.abc import Iterable

from audio.pcm import SAMPLE_RATE, AudioRingBuffer, levels_db, loudness_db
from audio.phrases import COMMON_WORDS, Phrase, unlike
from audio.stt.vosk_engine import UNKNOWN, BackgroundRecognizer, Hypothesis, VoskEngine

_COUNTED_WORDS = 2  # of a longer phrase
_GAIN = 9.75  # nats for each of them, both gains together, by which the phrase must win
_LEAST_GAIN = 4.0  # in the loudest noise
_A_DECIBEL = 0.325  # nats: noise takes from each word's gains so much for each dB ...
_CLEAR_DB = 39.0  # ... by which it is nearer to the voice than this
_LOUD = 0.8  # of its moments are quieter than the voice
_CALM = 0.05  # of the moments are quieter than the noise, for noise has gaps, too
_SHARE = 0.38  # of them that each gain must have
_SURE = 0.8  # of them in context alone: then the other gain was never too small
_WORD_SECONDS = 0.78  # what took longer than so much for each of them must win by more
_CLOSE_BY = 0.1  # seconds before and after the phrase that are heard with it alone
_BEFORE, _AFTER = 1.5, 1.0  # seconds around a phrase in which the noise is sought
_LONGEST_WORD = 1.0  # seconds; silence before a phrase is sometimes taken for a part of it
_ALTERNATIVES = 8


def earliest(phrase: Phrase, start: float, end: float) -> float:
    """When a phrase that seems to be said from `start` to `end` seconds can have begun."""
    return max(start, end - _LONGEST_WORD * len(phrase.words))


class ContextScore:
    """How much likelier a phrase makes a sound that holds more than it."""

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
        """In nats; that was all of the sound."""
        among, without = self._among.finish(), self._without.finish()
        return _best(among.result(), self._text) - _best(without.result())

    def drop(self) -> None:
        """It need not be known."""
        self._among.drop()
        self._without.drop()


def _needed_gain(sound: AudioRingBuffer, start: float, end: float) -> float:
    """For each word, in nats: in noise also what was said is less like itself.

    How clear the sound is: how far the phrase is above the quiet moments around it, in dB.
    """
    voice = levels_db(sound.since(start, end), SAMPLE_RATE)
    around = levels_db(sound.since(start - _BEFORE, end + _AFTER), SAMPLE_RATE)
    clear_db = loudness_db(voice, _LOUD) - loudness_db(around, _CALM) if voice else 0.0
    gain = _GAIN - _A_DECIBEL * (_CLEAR_DB - clear_db)
    return min(_GAIN, max(_LEAST_GAIN, gain))


def _best(paths: Iterable[Hypothesis], text: str = "") -> float:
    """The score of the best path that holds the text, which must be near the very best."""
    found = [path.score for path in paths if not text or f" {text} " in f" {path.text} "]
    return max(found, default=float("-inf"))


class LikelihoodRatio:
    """Compares how likely a sound is as the phrase and as any of the 3,000 words said most.

    Sound that is the phrase becomes far more likely by it; sound that only resembles it does not,
    as some other words fit about as well. The comparison is made twice: with the words around it,
    and for the phrase alone. Neither is enough: around a phrase that was not said, other words
    fit that end or begin elsewhere; and where only a part of it was said, the context makes up.
    What was drawn out must win by more, as each moment of it should speak for the phrase.
    These are the filler models of keyword spotting (Rose and Paul, "A hidden Markov model based
    keyword recognition system", 1990), with words for fillers.
    """

    def __init__(self, engine: VoskEngine) -> None:
        self._engine = engine
        self._words = engine.frequent_words or sorted(filter(engine.knows, COMMON_WORDS))
        self._rivals: dict[tuple[str, ...], list[str]] = {}

    def begin(self, phrase: Phrase, pcm: bytes) -> ContextScore:
        """Begin to hear the phrase with the words around it, at best while it is being said."""
        text, rivals = " ".join(phrase.words), self._rivals_of(phrase)
        # Beforehand, the phrase is as likely as all the words together.
        among = self._ahead([*[text] * len(rivals), *rivals], pcm, _ALTERNATIVES)
        return ContextScore(text, among, self._ahead(rivals, pcm))

    def passes(
        self,
        phrase: Phrase,
        sound: AudioRingBuffer,
        start: float,
        end: float,
        context: ContextScore,
    ) -> bool:
        """Whether the phrase was said from `start` to `end`, in seconds.

        Takes 0.05 s, if `context` has heard all before; three times as much where there is doubt.
        """
        start = earliest(phrase, start, end)
        words = min(len(phrase.words), _COUNTED_WORDS)
        needed = words * _needed_gain(sound, start, end)
        together = needed * max(1.0, (end - start) / (_WORD_SECONDS * words))
        in_context = context.gain()
        if in_context >= _SURE * together:  # for the user waits
            return True
        if in_context < _SHARE * needed:
            return False
        alone = self._gain_alone(phrase, sound.since(start - _CLOSE_BY, end + _CLOSE_BY))
        return alone >= _SHARE * needed and in_context + alone >= together

    def _gain_alone(self, phrase: Phrase, pcm: bytes) -> float:
        other = self._ahead(self._rivals_of(phrase), pcm).finish()
        itself = self._ahead([" ".join(phrase.words)], pcm).finish()
        return _best(itself.result()) - _best(other.result())

    def _ahead(self, entries: list[str], pcm: bytes, count: int = 1) -> BackgroundRecognizer:
        return BackgroundRecognizer(lambda: self._engine.paths(entries, count), pcm)

    def _rivals_of(self, phrase: Phrase) -> list[str]:
        """The frequent words; those alike to the phrase's would be heard for them."""
        if phrase.words not in self._rivals:
            self._rivals[phrase.words] = [*unlike(self._words, phrase.words), UNKNOWN]
        return self._rivals[phrase.words]
