"""Was it the phrase? A likelihood ratio between the phrase and the words said most."""

from collections.abc import Iterable

from audio.ahead import Ahead
from audio.common_words import COMMON_WORDS
from audio.near_words import likeness
from audio.phrases import Phrase
from audio.recent_sound import RecentSound
from audio.vosk_engine import UNKNOWN, Hypothesis, VoskEngine

ALIKE = 0.5  # Dice's coefficient of letter pairs: words as near as this are one to the ear
_COUNTED_WORDS = 2  # of a longer phrase
_IN_CONTEXT, _ALONE = 3.8, 3.6  # nats for each of them, by which the phrase must win
_A_SECOND = 12.5  # nats for each second that it took, both gains together
_CLOSE_BY = 0.1  # seconds before and after the phrase that are heard with it alone
_LONGEST_WORD = 1.0  # seconds; silence before a phrase is sometimes taken for a part of it
_ALTERNATIVES = 8


def earliest(phrase: Phrase, start: float, end: float) -> float:
    """When a phrase that seems to be said from `start` to `end` seconds can have begun."""
    return max(start, end - _LONGEST_WORD * len(phrase.words))


class InContext:
    """How much likelier a phrase makes a sound that holds more than it."""

    def __init__(self, text: str, among: Ahead, without: Ahead) -> None:
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


def _best(paths: Iterable[Hypothesis], text: str = "") -> float:
    """The score of the best path that holds the text, which must be near the very best."""
    found = [path.score for path in paths if not text or f" {text} " in f" {path.text} "]
    return max(found, default=float("-inf"))


class LikelihoodTest:
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

    def begin(self, phrase: Phrase, pcm: bytes) -> "InContext":
        """Begin to hear the phrase with the words around it, at best while it is being said."""
        text, rivals = " ".join(phrase.words), self._rivals_of(phrase)
        # Beforehand, the phrase is as likely as all the words together.
        among = self._ahead([*[text] * len(rivals), *rivals], pcm, _ALTERNATIVES)
        return InContext(text, among, self._ahead(rivals, pcm))

    def passes(
        self, phrase: Phrase, sound: RecentSound, start: float, end: float, context: "InContext"
    ) -> bool:
        """Whether the phrase was said from `start` to `end`, in seconds.

        Takes 0.06 s, if `context` has heard all before; else twice as much on two free cores.
        """
        start = earliest(phrase, start, end)
        closely = sound.since(start - _CLOSE_BY, end + _CLOSE_BY)
        other = self._ahead(self._rivals_of(phrase), closely).finish()
        itself = self._ahead([" ".join(phrase.words)], closely).finish()
        in_context = context.gain()
        alone = _best(itself.result()) - _best(other.result())
        words = min(len(phrase.words), _COUNTED_WORDS)
        return (
            in_context >= _IN_CONTEXT * words
            and alone >= _ALONE * words
            and in_context + alone >= _A_SECOND * (end - start)
        )

    def _ahead(self, entries: list[str], pcm: bytes, count: int = 1) -> Ahead:
        return Ahead(lambda: self._engine.paths(entries, count), pcm)

    def _rivals_of(self, phrase: Phrase) -> list[str]:
        """The frequent words, but not "he" beside "hey", which would be heard for it."""
        if phrase.words not in self._rivals:
            unlike = [
                word
                for word in self._words
                if all(likeness(word, other) < ALIKE for other in phrase.words)
            ]
            self._rivals[phrase.words] = [*unlike, UNKNOWN]
        return self._rivals[phrase.words]
