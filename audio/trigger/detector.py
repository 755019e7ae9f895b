"""Listen for the trigger phrases, always: a small grammar that decides on final results only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioRingBuffer
from audio.phrases import Phrase, find, parts
from audio.stt.vosk_engine import UNKNOWN, VoskEngine, Word
from audio.trigger.energy_gate import EnergyGate
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.trigger.verifier import TriggerVerifier
from audio.vad import VoiceDetector

_LONGEST_GAP = 1.0  # seconds between two words of one phrase
_RENEW_AFTER = 600  # seconds; a recogniser's memory grows with the sound it has heard
_PAUSE = 0.09  # seconds without voice after a phrase, and we decide; the engine would wait for 0.4
_WARM_UP = 1.0  # seconds that the voice detector hears before it is asked
_KEPT_SECONDS = 30  # an utterance that goes on, and with it the verdict on a phrase, may last 20
_LEAD = 1.0  # seconds before a voice that the recogniser hears with it
_BLOCK_BYTES = 2 * round(
    3 * CHUNK_SECONDS * SAMPLE_RATE
)  # of sound at once, while nothing is on its way: it costs less
_FRAME = 0.03  # seconds; the model's grid, which must not move against the sound
_BEGINNING_GAP = 0.3  # seconds without a word before a phrase that must begin what is said


@dataclass(frozen=True)
class Detection:
    """A phrase was said, from `start` to `end` seconds after the listener was made.

    Attributes:
        begins: whether no word came just before it.
        pauses: whether its speaker paused after it.
    """

    phrase: Phrase
    start: float
    end: float
    begins: bool
    pauses: bool


class TriggerDetector:
    """Hears nothing but the phrases.

    Partial results show a phrase before it is over, but are wrong dozens of times an hour; final
    results are right. The engine gives one half a second after the phrase, or when we ask: we do as
    soon as the partial result holds a phrase and the speaker pauses.

    A phrase that was found must be confirmed, by recognisers that begin to hear it in the
    background when it seems to be on its way.
    """

    def __init__(
        self,
        engine: VoskEngine,
        phrases: Sequence[Phrase],
        voice: VoiceDetector,
        *,
        test: LikelihoodRatio | None = None,
        must_begin: bool = False,
        arm_late: bool = True,
    ) -> None:
        """Get ready.

        Args:
            engine: makes the recognisers.
            phrases: to listen for.
            voice: for this listener alone.
            test: that a phrase must pass in the end.
            must_begin: whether a phrase counts only where no word comes just before it.
            arm_late: whether one seems to be on its way also after other words of an utterance.
        """
        self._engine = engine
        self._phrases = sorted(phrases, key=lambda phrase: -len(phrase.words))
        self._grammar = _grammar(phrases)
        self._confirmation = TriggerVerifier(engine, phrases, self._grammar, test)
        self._must_begin = must_begin
        self._arm_late = arm_late
        self._voice = voice
        self._sound = AudioRingBuffer(_KEPT_SECONDS)
        self._gate = EnergyGate()
        self._waiting = b""  # sound that has not been heard yet
        self._begin()

    def _begin(self) -> None:
        self._recognizer = self._engine.grammar(self._grammar)
        self._confirmation.drop()
        self._origin = self._heard_until = self._sound.seconds
        self._begun = False  # whether the current utterance has words yet, or at least noise
        self._recent: list[Word] = []
        self._armed = False
        self._watching = False  # for the pause after a phrase

    def accept(self, pcm: bytes) -> tuple[Phrase | None, Detection | None]:
        """Hear 16-bit samples.

        Returns:
            the phrase that seems to be on its way, once an utterance; the one that was said.
        """
        self._waiting += pcm
        if len(self._waiting) < _BLOCK_BYTES and not self._watching:
            return None, None
        pcm = self._due()
        if not pcm:
            return None, self._doze()
        words = self._recognizer.accept(pcm)
        partial = self._recognizer.partial().split() if words is None else []
        self._begun = bool(partial)
        coming = next((p for p in self._phrases if find(p.words, partial) >= 0), None)
        if words is None:
            self._confirmation.hear(coming, self._sound, pcm)
        if pauses := coming is not None and self._pauses(pcm):
            words = self._recognizer.finish()
        if words is not None:
            self._armed = self._watching = False
            return None, self._judge(words, pauses=pauses)
        if not partial and self._sound.seconds - self._origin > _RENEW_AFTER:
            self._begin()
        self._watching = coming is not None
        begins = coming is not None and find(coming.words, partial) == 0
        first = coming is not None and not self._armed and (begins or self._arm_late)
        self._armed = self._armed or first
        return coming if first else None, None

    def _due(self) -> bytes:
        """What the recogniser is to hear now: nothing in a quiet room.

        Then, with what is louder, the moment before it, and by a new recogniser: one that has
        grown used to the noise of an hour now and then takes "hey" for no word.
        """
        pcm, self._waiting = self._waiting, b""
        self._sound.add(pcm)
        if not self._gate.accept(pcm):
            return b""
        now = self._sound.seconds
        start = (now - len(pcm) / 2 / SAMPLE_RATE - _LEAD) // _FRAME * _FRAME
        if start > self._heard_until:
            self._begin()
            self._origin = start
        else:
            start = self._heard_until
        self._heard_until = now
        return self._sound.since(start)

    def _doze(self) -> Detection | None:
        """Let no utterance span what is never heard."""
        if not self._begun:
            return None
        self._begun = self._armed = self._watching = False
        return self._judge(self._recognizer.finish())

    def _pauses(self, pcm: bytes) -> bool:
        """Whether there has been no voice for a moment; a costly question, so seldom asked."""
        if not self._watching:
            self._voice.reset()
            pcm = self._sound.since(self._sound.seconds - _WARM_UP)
        return self._voice.accept(pcm) >= _PAUSE

    def finish(self) -> Detection | None:
        """The sound has ended: judge what is left, and begin anew."""
        pcm = self._due() if self._waiting else b""  # first, for it may want a new recogniser
        words = self._recognizer.accept(pcm) or []
        hit = self._judge([*words, *self._recognizer.finish()])
        self._begin()
        return hit

    def _judge(self, words: list[Word], *, pauses: bool = False) -> Detection | None:
        """The last phrase in an utterance; it may have begun in the one before."""
        heard = [*self._recent, *words]
        texts = [word.text for word in heard]
        self._recent = words
        for phrase in self._phrases:
            at = find(phrase.words, texts)
            said = heard[at : at + len(phrase.words)]
            gaps = [after.start - before.end for before, after in pairwise(said)]
            if at < 0 or said[-1] not in words or max(gaps, default=0) > _LONGEST_GAP:
                continue
            begins = not at or said[0].start - heard[at - 1].end >= _BEGINNING_GAP
            if self._must_begin and not begins:
                continue
            start, end = self._origin + said[0].start, self._origin + said[-1].end
            if self._confirmation.confirms(phrase, self._sound, start, end):
                self._recent = []
                return Detection(phrase, start, end, begins, pauses)
        self._confirmation.drop()
        return None


def _grammar(phrases: Sequence[Phrase]) -> list[str]:
    entries = [" ".join(phrase.words) for phrase in phrases]
    for phrase in phrases:
        entries += parts(phrase.words)
    return [*dict.fromkeys(entries), UNKNOWN]
