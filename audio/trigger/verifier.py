"""Trigger verification: a second-stage filter that hears a phrase again, among other words."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio.pcm import AudioRingBuffer
from audio.phrases import COMMON_WORDS, Phrase, dissimilar, find
from audio.stt.vosk_engine import BackgroundRecognizer, VoskEngine
from audio.trigger.likelihood_ratio import ContextScore, LikelihoodRatio, earliest_start

_CONTEXT_SECONDS = 0.5  # before and after a phrase that are heard with it
_MIN_LEAD_IN_SECONDS = 0.2  # of them, before a phrase that began earlier than was expected
_PHRASE_WEIGHT = 4  # of a phrase, as compared with one of the other words
_WORD_SECONDS = 0.5  # said of each word when a partial result holds the phrase; mostly less
_PREPARED_SECONDS = 1.5  # of sound that the background recognisers hear from then on


@dataclass(frozen=True)
class _Rehearing:
    """Background recognisers that hear a phrase from `begin` to `end` seconds.

    `context` is None where there is no likelihood ratio.
    """

    phrase: Phrase
    begin: float
    end: float
    again: BackgroundRecognizer
    context: ContextScore | None

    def hear(self, pcm: bytes) -> None:
        self.again.hear(pcm)
        if self.context is not None:
            self.context.hear(pcm)

    def drop(self) -> None:
        self.again.drop()
        if self.context is not None:
            self.context.drop()


class TriggerVerifier:
    """Recognises a phrase again with the words of everyday talk, and tests its likelihood ratio.

    "Okay computer" was "hey computer" only for want of "okay". To listen with these words always
    would lose phrases in noise. Verifying takes 0.3 s of CPU, and the user waits for the result; so
    it begins in the background as soon as a partial result holds the phrase.
    """

    def __init__(
        self,
        engine: VoskEngine,
        phrases: Sequence[Phrase],
        grammar: Sequence[str],
        likelihood: LikelihoodRatio | None,
    ) -> None:
        """Make the second grammar.

        Args:
            engine: makes the recognisers.
            phrases: that may have to be verified.
            grammar: in which they were found.
            likelihood: the last test that a phrase must pass.
        """
        self._engine = engine
        entries = dict.fromkeys([*grammar, *_other_words(engine, phrases)])
        # The others are many, but a phrase that was found is likelier than any of them.
        said = [" ".join(phrase.words) for phrase in phrases]
        self._entries = [*said * (_PHRASE_WEIGHT - 1), *entries]
        self._likelihood = likelihood
        self._rehearing: _Rehearing | None = None

    def hear(self, phrase: Phrase | None, sound: AudioRingBuffer, pcm: bytes) -> None:
        """Hear the newest 16-bit samples, where a phrase is suspected.

        Args:
            phrase: in the partial result; None for none.
            sound: all sound up to the end of `pcm`.
            pcm: the samples that were not given before.
        """
        if self._rehearing is not None and sound.seconds <= self._rehearing.end:
            self._rehearing.hear(pcm)  # also where the partial result has lost it for a moment
        if phrase is not None and (self._rehearing is None or phrase is not self._rehearing.phrase):
            self.drop()
            begin = sound.seconds - _WORD_SECONDS * len(phrase.words) - _CONTEXT_SECONDS
            self._rehearing = self._begin(phrase, sound, begin, sound.seconds + _PREPARED_SECONDS)

    def _begin(
        self, phrase: Phrase, sound: AudioRingBuffer, begin: float, end: float
    ) -> _Rehearing:
        pcm = sound.since(begin, end)
        again = BackgroundRecognizer(lambda: self._engine.paths(self._entries), pcm)
        context = None if self._likelihood is None else self._likelihood.begin(phrase, pcm)
        return _Rehearing(phrase, begin, end, again, context)

    def drop(self) -> None:
        """Stop hearing a suspected phrase."""
        if self._rehearing is not None:
            self._rehearing.drop()
        self._rehearing = None

    def verify(self, phrase: Phrase, sound: AudioRingBuffer, start: float, end: float) -> bool:
        """True if the phrase that was found from `start` to `end`, in seconds, was said."""
        rehearing = self._prepared(phrase, sound, start, end)
        if rehearing is None:
            begin = earliest_start(phrase, start, end) - _CONTEXT_SECONDS
            rehearing = self._begin(phrase, sound, begin, end + _CONTEXT_SECONDS)
        again = rehearing.again.finish()
        test, context = self._likelihood, rehearing.context
        passes = test is None or context is None or test.passes(phrase, sound, start, end, context)
        heard = again.result()
        return passes and bool(heard) and find(phrase.words, heard[0].text.split()) >= 0

    def _prepared(
        self, phrase: Phrase, sound: AudioRingBuffer, start: float, end: float
    ) -> _Rehearing | None:
        """The recognisers begun for this phrase, unless they heard too little before or after."""
        rehearing, self._rehearing = self._rehearing, None
        if rehearing is None:
            return None
        in_time = rehearing.phrase is phrase and rehearing.begin <= start - _MIN_LEAD_IN_SECONDS
        if in_time and sound.seconds <= min(end + _CONTEXT_SECONDS, rehearing.end):
            return rehearing
        rehearing.drop()
        return None


def _other_words(engine: VoskEngine, phrases: Sequence[Phrase]) -> list[str]:
    """Words of everyday talk, without those that would be heard for a phrase's own."""
    said = {word for phrase in phrases for word in phrase.words}
    return dissimilar(filter(engine.knows, sorted(COMMON_WORDS)), said)
