"""Trigger detection: a small grammar that always listens and decides on final results only.

sound ─→ energy gate ─→ grammar recogniser ─→ phrase ─→ verifier ─→ refractory period ─→ Detection
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioRingBuffer
from audio.phrases import Phrase, find, sub_phrases
from audio.stt.vosk_engine import UNKNOWN, VoskEngine, Word
from audio.trigger.energy_gate import EnergyGate
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.trigger.verifier import TriggerVerifier
from audio.vad import VoiceDetector

UTTERANCE_END_SECONDS = 0.2  # of silence (rule 2 of the engine); the model's 0.5 is only later
_MAX_GAP_SECONDS = 1.0  # between two words of one phrase
_RENEW_SECONDS = 600  # of sound, after which the recogniser is replaced, for its memory grows
_PAUSE_SECONDS = 0.09  # without voice after a phrase: decide now; the engine waits 0.2 to 0.5 s
_WARM_UP_SECONDS = 1.0  # of sound for the voice detector before its first answer
_BUFFER_SECONDS = 30  # an utterance, and with it the verdict on a phrase in it, may last 20
_LEAD_IN_SECONDS = 1.0  # before a voice that the recogniser hears with it
# Heard at once while no phrase is suspected, which takes less processor time.
_BLOCK_BYTES = 2 * round(3 * CHUNK_SECONDS * SAMPLE_RATE)
_FRAME_SECONDS = 0.03  # the model's grid, which must not move against the sound
_BEGINNING_GAP_SECONDS = 0.3  # without a word before a phrase that begins what is said


@dataclass(frozen=True)
class Detection:
    """A phrase was said, from `start` to `end`, in seconds of the detector's time (its buffer's).

    Attributes:
        begins: whether no word came just before it.
        pauses: whether the user paused after it.
    """

    phrase: Phrase
    start: float
    end: float
    begins: bool
    pauses: bool


class TriggerDetector:
    """Detects phrases in a stream of sound.

    Partial results show a phrase before it is over, but are wrong dozens of times an hour; final
    results are right. The engine gives one 0.2 to 0.5 s after the last word, by which of its rules
    applies, or at once on request: requested as soon as the partial result holds a phrase and the
    user pauses.

    A phrase in a final result must be verified, by recognisers that begin to hear it in the
    background as soon as a partial result holds it. After a detection, none follows for the
    refractory period.
    """

    def __init__(
        self,
        engine: VoskEngine,
        phrases: Sequence[Phrase],
        voice: VoiceDetector,
        *,
        likelihood: LikelihoodRatio | None = None,
        must_begin: bool = False,
        suspect_mid_utterance: bool = True,
        refractory_seconds: float = 0.0,
    ) -> None:
        """Make the grammar.

        Args:
            engine: makes the recognisers.
            phrases: to detect.
            voice: for this detector alone.
            likelihood: the last test that a phrase must pass.
            must_begin: whether a phrase counts only where no word comes just before it.
            suspect_mid_utterance: whether a phrase is suspected also after other words.
            refractory_seconds: from the end of one phrase to the end of the next, at least.
        """
        self._engine = engine
        self._phrases = sorted(phrases, key=lambda phrase: -len(phrase.words))
        self._grammar = _grammar(phrases)
        self._verifier = TriggerVerifier(engine, phrases, self._grammar, likelihood)
        self._must_begin = must_begin
        self._suspect_mid_utterance = suspect_mid_utterance
        self._refractory_seconds = refractory_seconds
        self._last_detection = float("-inf")  # end of the last detection, in seconds
        self._voice = voice
        self._sound = AudioRingBuffer(_BUFFER_SECONDS)
        self._gate = EnergyGate()
        self._pending = b""  # sound that makes no block yet
        self._restart()

    def _restart(self) -> None:
        self._recognizer = self._engine.grammar(self._grammar)
        self._verifier.drop()
        self._origin = self._heard_until = self._sound.seconds
        self._has_words = False  # in the current utterance, or at least noise
        self._previous: list[Word] = []  # of the utterance before
        self._suspected = False  # a phrase in this utterance
        self._awaiting_pause = False  # after a phrase

    def process(self, pcm: bytes) -> tuple[Phrase | None, Detection | None]:
        """Hear 16-bit samples.

        Returns:
            the phrase that is probably being said, once an utterance; the one that was said.
        """
        self._pending += pcm
        if len(self._pending) < _BLOCK_BYTES and not self._awaiting_pause:
            return None, None
        pcm = self._audible()
        if not pcm:
            return None, self._end_utterance()
        words = self._recognizer.accept(pcm)
        partial = self._recognizer.partial().split() if words is None else []
        self._has_words = bool(partial)
        coming = next((p for p in self._phrases if find(p.words, partial) >= 0), None)
        if words is None:
            self._verifier.hear(coming, self._sound, pcm)
        if pauses := coming is not None and self._user_pauses(pcm):
            words = self._recognizer.finish()
        if words is not None:
            self._suspected = self._awaiting_pause = False
            return None, self._judge(words, pauses=pauses)
        if not partial and self._sound.seconds - self._origin > _RENEW_SECONDS:
            self._restart()
        self._awaiting_pause = coming is not None
        begins = coming is not None and find(coming.words, partial) == 0
        allowed = begins or self._suspect_mid_utterance
        first = coming is not None and not self._suspected and allowed
        self._suspected = self._suspected or first
        return coming if first else None, None

    def _audible(self) -> bytes:
        """The sound that the recogniser is to hear now: none while the energy gate is closed.

        When the gate opens, a new recogniser hears the moment before it, too: one that has adapted
        to an hour of noise now and then takes "hey" for no word.
        """
        pcm, self._pending = self._pending, b""
        self._sound.add(pcm)
        if not self._gate.accept(pcm):
            return b""
        now = self._sound.seconds
        start = (now - len(pcm) / 2 / SAMPLE_RATE - _LEAD_IN_SECONDS) // _FRAME_SECONDS
        start *= _FRAME_SECONDS
        if start > self._heard_until:
            self._restart()
            self._origin = start
        else:
            start = self._heard_until
        self._heard_until = now
        return self._sound.since(start)

    def _end_utterance(self) -> Detection | None:
        """End the utterance when the gate closes, for the recogniser does not hear the gap."""
        if not self._has_words:
            return None
        self._has_words = self._suspected = self._awaiting_pause = False
        return self._judge(self._recognizer.finish())

    def _user_pauses(self, pcm: bytes) -> bool:
        """True if there has been no voice for a moment; costly, so asked after a phrase only."""
        if not self._awaiting_pause:
            self._voice.reset()
            pcm = self._sound.since(self._sound.seconds - _WARM_UP_SECONDS)
        return self._voice.accept(pcm) >= _PAUSE_SECONDS

    def skip(self, seconds: float) -> None:
        """Forget what was half heard: the microphone was closed for so long."""
        self._sound.skip(len(self._pending) / 2 / SAMPLE_RATE + seconds)
        self._pending = b""
        self._gate = EnergyGate()
        self._restart()

    def finish(self) -> Detection | None:
        """The sound has ended: judge what is left, and restart."""
        pcm = self._audible() if self._pending else b""  # first, for it may restart
        words = self._recognizer.accept(pcm) or []
        detection = self._judge([*words, *self._recognizer.finish()])
        self._restart()
        return detection

    def _judge(self, words: list[Word], *, pauses: bool = False) -> Detection | None:
        """The last phrase in an utterance, unless it is too soon after the one before."""
        detection = self._verified(words, pauses=pauses)
        if detection is None or detection.end - self._last_detection < self._refractory_seconds:
            return None
        self._last_detection = detection.end
        return detection

    def _verified(self, words: list[Word], *, pauses: bool) -> Detection | None:
        """The last verified phrase in an utterance; it may have begun in the one before."""
        heard = [*self._previous, *words]
        texts = [word.text for word in heard]
        self._previous = words
        for phrase in self._phrases:
            at = find(phrase.words, texts)
            said = heard[at : at + len(phrase.words)]
            gaps = [after.start - before.end for before, after in pairwise(said)]
            if at < 0 or said[-1] not in words or max(gaps, default=0) > _MAX_GAP_SECONDS:
                continue
            begins = not at or said[0].start - heard[at - 1].end >= _BEGINNING_GAP_SECONDS
            if self._must_begin and not begins:
                continue
            start, end = self._origin + said[0].start, self._origin + said[-1].end
            if self._verifier.verify(phrase, self._sound, start, end):
                self._previous = []
                return Detection(phrase, start, end, begins, pauses)
        self._verifier.drop()
        return None


def _grammar(phrases: Sequence[Phrase]) -> list[str]:
    entries = [" ".join(phrase.words) for phrase in phrases]
    for phrase in phrases:
        entries += sub_phrases(phrase.words)
    return [*dict.fromkeys(entries), UNKNOWN]
