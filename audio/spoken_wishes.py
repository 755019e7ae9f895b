"""Short seeds heard a second time: "don't" after a trigger may have been "go on"."""

from collections.abc import Iterable, Sequence

from audio.common_words import COMMON_WORDS
from audio.near_words import parts
from audio.phrases import Phrase
from audio.stt.vosk_engine import RATE, UNKNOWN, VoskEngine

_SHORT = 1.5  # times the letters of the longest phrase: a longer seed is none of them
_BEFORE = bytes(RATE // 2 * 2)  # silence; a recogniser needs a moment to begin


class CommandRescorer:
    """A small grammar of the phrases beside the open recogniser, which knows them only by chance.

    With the words of everyday talk beside them, so that other short seeds are not taken for them.
    """

    def __init__(self, engine: VoskEngine, phrases: Sequence[Phrase]) -> None:
        """`phrases` are those that may be a whole seed."""
        self._engine = engine
        self._texts = {" ".join(phrase.words): phrase.text for phrase in phrases}
        self._longest = max((len(phrase.text) for phrase in phrases), default=0) * _SHORT
        self._entries = [*dict.fromkeys([*self._texts, *_others(engine, phrases)])]

    def meaning(self, seed: str, pcm: bytes) -> str:
        """The phrase that a seed was, or the seed; takes 0.05 s for a short one.

        Args:
            seed: what the open recogniser has made of it.
            pcm: its sound, as 16-bit samples.
        """
        if not self._texts or len(seed) > self._longest or seed in self._texts.values():
            return seed
        recognizer = self._engine.grammar(self._entries)
        words = recognizer.accept(_BEFORE + pcm) or []
        heard = " ".join(word.text for word in [*words, *recognizer.finish()])
        return self._texts.get(heard, seed)


def _others(engine: VoskEngine, phrases: Sequence[Phrase]) -> Iterable[str]:
    for phrase in phrases:
        yield from parts(phrase.words)
    yield UNKNOWN
    yield from filter(engine.knows, sorted(COMMON_WORDS))
