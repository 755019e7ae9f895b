"""Phrases that need no trigger, such as "stop": listened to only while they mean something."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio.events import Command, TriggerSuspected
from audio.phrases import Phrase
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.detector import TriggerDetector
from audio.vad import VoiceDetector

STOP = "stop"  # it may come in the middle of what the loudspeaker says
WHOLE_SEEDS = frozenset(["never mind"])  # kinds that mean something after a trigger only


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
