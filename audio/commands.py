"""Voice commands: phrases that steer the conversation, with and without a trigger before them.

The phrases themselves are settings: the section `commands` of config/default.yaml.

Without a trigger, CommandDetector listens for them, only while they mean something: "stop" during
a reply, "go on" and "again" soon after one. After a trigger, CommandRescorer corrects a short seed
that the open vocabulary has misheard, and SeedCommands tells commands from seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from audio.events import Seed, TriggerSuspected, VoiceCommand
from audio.pcm import SAMPLE_RATE
from audio.phrases import COMMON_WORDS, Phrase, bare, sub_phrases
from audio.stt.vosk_engine import UNKNOWN, VoskEngine
from audio.trigger.detector import TriggerDetector
from audio.vad import VoiceDetector

STOP = "stop"  # may be said in the middle of a reply
NEVER_MIND = "never mind"  # counts after a trigger only, and there also at the end of a seed

_MAX_LENGTH_RATIO = 1.5  # of a seed that may be a command to the longest phrase, in characters
_LEAD_IN = bytes(2 * SAMPLE_RATE // 2)  # 0.5 s of silence, for a recogniser misses a sudden start


@dataclass(frozen=True)
class SpokenCommand:
    """A phrase and the command that it gives: "stop", "go on", "again" or "never mind"."""

    kind: str
    phrase: Phrase


class CommandDetector:
    """Detects phrases that need no trigger, with a small grammar.

    The recognition makes one whenever commands begin to mean something.
    """

    def __init__(
        self,
        engine: VoskEngine,
        commands: Sequence[SpokenCommand],
        voice: VoiceDetector,
        origin: float,
    ) -> None:
        """`origin` is the time, in seconds, at which the first sample begins."""
        self._kinds = {command.phrase.text: command.kind for command in commands}
        phrases = [command.phrase for command in commands]
        # In the middle of other words, also of a reply's own, "stop" is mostly something else.
        self._detector = TriggerDetector(engine, phrases, voice, suspect_mid_utterance=False)
        self._origin = origin

    def process(self, pcm: bytes) -> TriggerSuspected | VoiceCommand | None:
        """Hear 16-bit samples; the command that was said, or the stop phrase being said."""
        suspected, detection = self._detector.process(pcm)
        if suspected is not None and self._kinds[suspected.text] == STOP:
            return TriggerSuspected(suspected.text)
        if detection is None:
            return None
        kind, phrase = self._kinds[detection.phrase.text], detection.phrase.text
        if kind != STOP and not detection.begins:  # "let us see him again" is no command
            return None
        return VoiceCommand(kind, phrase, False, self._origin + detection.end)


class CommandRescorer:
    """Recognises short seeds a second time: "don't" after a trigger may have been "go on".

    Its grammar has the command phrases, which the open vocabulary gets right only by chance, and
    the words of everyday talk, so that other short seeds are not taken for commands.
    """

    def __init__(self, engine: VoskEngine, phrases: Sequence[Phrase]) -> None:
        """`phrases` are those that may be a whole seed."""
        self._engine = engine
        self._texts = {" ".join(phrase.words): phrase.text for phrase in phrases}
        self._max_length = max((len(p.text) for p in phrases), default=0) * _MAX_LENGTH_RATIO
        self._entries = [*dict.fromkeys([*self._texts, *_competitors(engine, phrases)])]

    def rescored(self, seed: str, pcm: bytes) -> str:
        """The phrase that a seed was, or the seed; takes 0.05 s for a short one.

        Args:
            seed: the result of the open vocabulary.
            pcm: its sound, as 16-bit samples.
        """
        if not self._texts or len(seed) > self._max_length or seed in self._texts.values():
            return seed
        recognizer = self._engine.grammar(self._entries)
        words = recognizer.accept(_LEAD_IN + pcm) or []
        heard = " ".join(word.text for word in [*words, *recognizer.finish()])
        return self._texts.get(heard, seed)


def _competitors(engine: VoskEngine, phrases: Sequence[Phrase]) -> Iterable[str]:
    for phrase in phrases:
        yield from sub_phrases(phrase.words)
    yield UNKNOWN
    yield from filter(engine.knows, sorted(COMMON_WORDS))


class SeedCommands:
    """Tells the commands among the seeds, by their text alone."""

    def __init__(self, commands: Sequence[SpokenCommand]) -> None:
        self._commands = {bare(command.phrase.text): command for command in commands}

    def find(self, seed: str) -> SpokenCommand | None:
        """The command that is the whole seed, or the "never mind" that ends it; None for others."""
        words = bare(seed)
        if words in self._commands:
            return self._commands[words]
        endings = (
            command
            for phrase, command in self._commands.items()
            if command.kind == NEVER_MIND and words.endswith(f" {phrase}")
        )
        return next(endings, None)

    def event(self, seed: str, at_seconds: float) -> Seed | VoiceCommand:
        """The event of a whole capture: the command that it is, or the seed."""
        command = self.find(seed)
        if command is None:
            return Seed(seed, at_seconds)
        return VoiceCommand(command.kind, command.phrase.text, True, at_seconds)


def commands_in_text(phrases: Mapping[str, Sequence[str]]) -> SeedCommands:
    """The commands by their phrases, by kind, for texts that no recogniser has written."""
    return SeedCommands(
        [
            SpokenCommand(kind, Phrase(text, tuple(bare(text).split())))
            for kind, texts in phrases.items()
            for text in texts
        ]
    )
