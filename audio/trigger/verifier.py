"""Was it really the phrase? Heard again, with other words beside it, before anybody is woken."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio.pcm import AudioRingBuffer
from audio.phrases import COMMON_WORDS, Phrase, find, unlike
from audio.stt.vosk_engine import BackgroundRecognizer, VoskEngine
from audio.trigger.likelihood_ratio import ContextScore, LikelihoodRatio, earliest

_AROUND = 0.5  # seconds before and after a phrase that are heard with it
_LEAST_BEFORE = 0.2  # of them, before a phrase that began earlier than was thought
_WEIGHT = 4  # of a phrase, as compared with one of the other words
_LONG_WORD = 0.5  # seconds of it have sounded when a phrase seems to be on its way; most took less
_REST = 1.5  # seconds; long after a phrase is over, there is no hurry any more


@dataclass(frozen=True)
class _Hearing:
    """What hears a phrase again, between two moments; `context` where there is a test."""

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
    """Hears a phrase with the words of everyday talk beside it, and puts it to the test.

    "Okay computer" was "hey computer" only for want of "okay". To listen with these words always
    would lose phrases in noise. All this takes 0.3 s of CPU, and the user waits for the answer; so
    it is begun in the background when the phrase seems to be on its way.
    """

    def __init__(
        self,
        engine: VoskEngine,
        phrases: Sequence[Phrase],
        grammar: Sequence[str],
        test: LikelihoodRatio | None,
    ) -> None:
        """Get ready.

        Args:
            engine: makes the recognisers.
            phrases: that may have to be confirmed.
            grammar: in which they were found.
            test: that a phrase must pass in the end.
        """
        self._engine = engine
        entries = dict.fromkeys([*grammar, *_other_words(engine, phrases)])
        # The others are many, but a phrase that was found is likelier than any of them.
        said = [" ".join(phrase.words) for phrase in phrases]
        self._entries = [*said * (_WEIGHT - 1), *entries]
        self._test = test
        self._hearing: _Hearing | None = None

    def hear(self, phrase: Phrase | None, sound: AudioRingBuffer, pcm: bytes) -> None:
        """Take note of the newest 16-bit samples, and of what seems to be on its way in them.

        Args:
            phrase: that; None for nothing.
            sound: what there was, up to the end of `pcm`.
            pcm: what was not given before.
        """
        if self._hearing is not None and sound.seconds <= self._hearing.end:
            self._hearing.hear(pcm)  # also where there is a doubt for a moment
        if phrase is not None and (self._hearing is None or phrase is not self._hearing.phrase):
            self.drop()
            begin = sound.seconds - _LONG_WORD * len(phrase.words) - _AROUND
            self._hearing = self._begin(phrase, sound, begin, sound.seconds + _REST)

    def _begin(self, phrase: Phrase, sound: AudioRingBuffer, begin: float, end: float) -> _Hearing:
        pcm = sound.since(begin, end)
        again = BackgroundRecognizer(lambda: self._engine.paths(self._entries), pcm)
        context = self._test.begin(phrase, pcm) if self._test is not None else None
        return _Hearing(phrase, begin, end, again, context)

    def drop(self) -> None:
        """Nothing is on its way any more."""
        if self._hearing is not None:
            self._hearing.drop()
        self._hearing = None

    def confirms(self, phrase: Phrase, sound: AudioRingBuffer, start: float, end: float) -> bool:
        """Whether the phrase that seems to be said from `start` to `end` seconds was said."""
        hearing = self._prepared(phrase, sound, start, end)
        if hearing is None:
            begin = earliest(phrase, start, end) - _AROUND
            hearing = self._begin(phrase, sound, begin, end + _AROUND)
        again = hearing.again.finish()
        test, context = self._test, hearing.context
        passes = test is None or context is None or test.passes(phrase, sound, start, end, context)
        heard = again.result()
        return passes and bool(heard) and find(phrase.words, heard[0].text.split()) >= 0

    def _prepared(
        self, phrase: Phrase, sound: AudioRingBuffer, start: float, end: float
    ) -> _Hearing | None:
        """What was begun in time for this phrase, and has not heard too much after it."""
        hearing, self._hearing = self._hearing, None
        if hearing is None:
            return None
        begun = hearing.phrase is phrase and hearing.begin <= start - _LEAST_BEFORE
        if begun and sound.seconds <= min(end + _AROUND, hearing.end):
            return hearing
        hearing.drop()
        return None


def _other_words(engine: VoskEngine, phrases: Sequence[Phrase]) -> list[str]:
    """Words of everyday talk; those alike to a phrase's would be heard for them."""
    said = {word for phrase in phrases for word in phrase.words}
    return unlike(filter(engine.knows, sorted(COMMON_WORDS)), said)
