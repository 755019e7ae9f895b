"""Was that all? Hears on for a moment after a seed, in case its speaker goes on."""

from collections.abc import Sequence

from audio.events import Event, Resumed, Seed
from audio.pcm import SAMPLE_RATE
from audio.turn.capture import RESUMED_SECONDS, Capture
from audio.turn.echo_level import EchoLevel
from audio.vad import VoiceDetector

SECONDS = 1.5  # all pauses of 50 readers were over by then (docs/hearing.md)
_ONSET_BYTES = 2 * round(0.2 * SAMPLE_RATE)  # of sound before a voice is noticed


class ResumptionDetector:
    """What comes after a capture that has ended.

    Attributes:
        capture: it.
        sound: what was heard since, for the capture to hear when it goes on; silence in place of
            what came before its speaker's voice, which may have been ours.
    """

    def __init__(self, capture: Capture, voice: VoiceDetector, own: EchoLevel) -> None:
        """`voice` has heard the capture to its end."""
        self.capture = capture
        self.sound = b""
        self._voice = voice
        self._own = own
        self._voiced = 0.0

    @property
    def is_over(self) -> bool:
        """Whether that was all."""
        return len(self.sound) / 2 / SAMPLE_RATE >= SECONDS

    def accept(self, pcm: bytes, *, sounding: bool) -> bool:
        """Hear 16-bit samples; `sounding` tells that the loudspeaker may be in them.

        Returns:
            whether the speaker goes on.
        """
        self.sound += pcm
        before = self._voice.voiced_seconds
        self._voice.accept(pcm)
        if not sounding or self._own.is_below(pcm):
            self._voiced += self._voice.voiced_seconds - before
        if not self._voiced:
            past = max(0, len(self.sound) - _ONSET_BYTES)
            self.sound = bytes(past) + self.sound[past:]
        return self._voiced >= RESUMED_SECONDS


class FinalSeedFilter:
    """Holds a seed back for as long as the hearing may take it back, and so spares a reply."""

    def __init__(self) -> None:
        self._seed: Seed | None = None
        self._until = 0.0  # audio time

    def settle(self, events: Sequence[Event], now: float) -> list[Event]:
        """What is certain of these and of what was held, at this audio time in seconds."""
        told: list[Event] = []
        for event in events:
            if isinstance(event, Resumed):
                self._seed = None
            else:
                told += [*self.finish(), event]
            if isinstance(event, Seed):
                self._seed, self._until = event, now + SECONDS
                told.pop()
        return told if now < self._until else told + self.finish()

    def finish(self) -> list[Event]:
        """What is held; there will be no more."""
        held, self._seed = self._seed, None
        return [] if held is None else [held]
