"""Listen for the trigger phrases, always: a small grammar that decides on final results only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from audio.near_words import decoys
from audio.phrases import Phrase
from audio.vosk_engine import RATE, UNKNOWN, VoskEngine, Word

_LONGEST_GAP = 1.0  # seconds between two words of one phrase
_RENEW_AFTER = 600  # seconds; a recogniser's memory grows with the sound it has heard


@dataclass(frozen=True)
class Hit:
    """A phrase was said; its last word ended `end` seconds after the listener was made."""

    phrase: Phrase
    end: float


class TriggerListener:
    """Hears nothing but the phrases.

    Partial results show a phrase before it is over, but are wrong dozens of times an hour; final
    results come half a second later and are right.
    """

    def __init__(self, engine: VoskEngine, phrases: Sequence[Phrase]) -> None:
        self._engine = engine
        self._phrases = sorted(phrases, key=lambda phrase: -len(phrase.words))
        self._grammar = _grammar(engine, phrases)
        self._seconds = 0.0
        self._begin()

    def _begin(self) -> None:
        self._recognizer = self._engine.grammar(self._grammar)
        self._origin = self._seconds
        self._recent: list[Word] = []
        self._armed = False

    def accept(self, pcm: bytes) -> tuple[Phrase | None, Hit | None]:
        """Hear 16-bit samples.

        Returns:
            the phrase that seems to be on its way, once an utterance; the one that was said.
        """
        self._seconds += len(pcm) / 2 / RATE
        words = self._recognizer.accept(pcm)
        if words is not None:
            self._armed = False
            return None, self._judge(words)
        partial = self._recognizer.partial().split()
        if not partial and self._seconds - self._origin > _RENEW_AFTER:
            self._begin()
        if self._armed:
            return None, None
        coming = next((p for p in self._phrases if _find(p.words, partial) >= 0), None)
        self._armed = coming is not None
        return coming, None

    def finish(self) -> Hit | None:
        """The sound has ended: judge what is left, and begin anew."""
        hit = self._judge(self._recognizer.finish())
        self._begin()
        return hit

    def _judge(self, words: list[Word]) -> Hit | None:
        """The last phrase in an utterance; it may have begun in the one before."""
        heard = [*self._recent, *words]
        texts = [word.text for word in heard]
        self._recent = words
        for phrase in self._phrases:
            at = _find(phrase.words, texts)
            said = heard[at : at + len(phrase.words)]
            gaps = [after.start - before.end for before, after in pairwise(said)]
            if at >= 0 and said[-1] in words and max(gaps, default=0) <= _LONGEST_GAP:
                self._recent = []
                return Hit(phrase, self._origin + said[-1].end)
        return None


def _grammar(engine: VoskEngine, phrases: Sequence[Phrase]) -> list[str]:
    entries = [" ".join(phrase.words) for phrase in phrases]
    for phrase in phrases:
        entries += decoys(phrase.words, engine.knows)
    return [*dict.fromkeys(entries), UNKNOWN]


def _find(phrase: Sequence[str], words: Sequence[str]) -> int:
    """Where the phrase begins for the last time; -1 where it does not."""
    for at in range(len(words) - len(phrase), -1, -1):
        if list(words[at : at + len(phrase)]) == list(phrase):
            return at
    return -1
