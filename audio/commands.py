"""Phrases that need no trigger, such as "stop": listened to only while they mean something."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audio.events import Command, Paused, Seed, TriggerSuspected, Wish
from audio.events import Event as HearingEvent
from audio.pcm import SAMPLE_RATE
from audio.phrases import COMMON_WORDS, Phrase, bare, parts
from audio.stt.vosk_engine import UNKNOWN, VoskEngine
from audio.trigger.detector import TriggerDetector
from audio.vad import VoiceDetector

STOP = "stop"  # it may come in the middle of what the loudspeaker says
WHOLE_SEEDS = frozenset(["never mind"])  # kinds that mean something after a trigger only
_SHORT = 1.5  # times the letters of the longest phrase: a longer seed is none of them
_BEFORE = bytes(SAMPLE_RATE // 2 * 2)  # silence; a recogniser needs a moment to begin


@dataclass(frozen=True)
class SpokenCommand:
    """What a phrase asks for: `kind` is "stop", "go on", "again" or "never mind"."""

    kind: str
    phrase: Phrase


class CommandDetector:
    """A small grammar beside that of the trigger, made anew each time it is needed."""

    def __init__(
        self,
        engine: VoskEngine,
        commands: Sequence[SpokenCommand],
        voice: VoiceDetector,
        origin: float,
    ) -> None:
        """`origin` is the time, in seconds, from which on hits are counted."""
        self._kinds = {command.phrase.text: command.kind for command in commands}
        phrases = [command.phrase for command in commands]
        # In the middle of other words, be they a reply's own, "stop" is mostly something else.
        self._listener = TriggerDetector(engine, phrases, voice, arm_late=False)
        self._origin = origin

    def accept(self, pcm: bytes) -> TriggerSuspected | Command | None:
        """Hear 16-bit samples; what was said, or the stop phrase that seems to be on its way."""
        coming, hit = self._listener.accept(pcm)
        if coming is not None and self._kinds[coming.text] == STOP:
            return TriggerSuspected(coming.text)
        if hit is None:
            return None
        kind = self._kinds[hit.phrase.text]
        if kind != STOP and not hit.begins:  # "let us see him again" is no wish
            return None
        return Command(kind, hit.phrase.text, self._origin + hit.end)


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


@dataclass(frozen=True)
class Manners:
    """Whole seeds that are wishes, and how long some need no trigger.

    Attributes:
        wishes: bare words to "go on", "again", "never mind" or "stop".
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger.
    """

    wishes: Mapping[str, str] = field(default_factory=dict)
    follow_up_seconds: float = 0.0

    def interpret(self, event: HearingEvent) -> HearingEvent | Wish | None:
        """The event, or the wish that it speaks of; None for a pause within a wish."""
        if not isinstance(event, Seed | Paused):
            return event
        kind = self._wish(bare(event.text))
        if kind is None:
            return event
        return Wish(kind) if isinstance(event, Seed) else None

    def _wish(self, words: str) -> str | None:
        """A whole seed; "never mind" also at the end of one, for who has thought better of it."""
        if words in self.wishes:
            return self.wishes[words]
        ends = tuple(f" {phrase}" for phrase, kind in self.wishes.items() if kind == "never mind")
        return "never mind" if words.endswith(ends) else None


def manners(phrases: Mapping[str, Iterable[str]], follow_up_seconds: float) -> Manners:
    """From the phrases of each kind."""
    wishes = {bare(text): kind for kind, texts in phrases.items() for text in texts}
    return Manners(wishes, follow_up_seconds)
