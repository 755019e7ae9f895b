"""Resumption: a user who goes on speaking after the end of turn (a false end of turn).

A conversation with a microphone answers a seed at once and cancels the reply when the user
resumes: ResumptionDetector, or NewWordsDetector where it is never quiet. One with a recording has
time to wait: FinalSeedFilter.
"""

from collections.abc import Sequence
from typing import Protocol

from audio.events import Event, Resumed, Seed, VoiceCommand
from audio.pcm import SAMPLE_RATE
from audio.turn.capture import RESUMED_VOICE_SECONDS, Capture
from audio.turn.echo_level import EchoLevel
from audio.turn.user_voice import UserVoice

RESUMPTION_SECONDS = 1.5  # after a seed; 50 readers paused no longer (docs/lab/hearing.md)
_ONSET_BYTES = 2 * round(0.2 * SAMPLE_RATE)  # of sound before the VAD notices a voice


class Resumption(Protocol):
    """Detects that the user resumes speaking after a capture has ended."""

    @property
    def sound(self) -> bytes:
        """The sound since the end of the capture, as it is to hear it."""

    @property
    def expired(self) -> bool:
        """True once it is too late to resume."""

    def user_resumed(self, pcm: bytes, *, playing: bool) -> bool:
        """Hear 16-bit samples; True once the user has resumed.

        `playing` tells that the loudspeaker may be in them: then only a voice that is louder than
        the echo counts.
        """

    def resumed_capture(self) -> Capture:
        """The capture, which goes on with the sound since its end."""


class ResumptionDetector:
    """Detects that the user's voice begins again, after a silence.

    The sound since the end is kept for the capture, with silence in place of what came before the
    user's voice, for that may be echo.
    """

    def __init__(self, capture: Capture, voice: UserVoice, echo: EchoLevel) -> None:
        """`voice` has heard the capture to its end."""
        self._capture = capture
        self._sound = b""
        self._voice = voice
        self._echo = echo
        self._user_seconds = 0.0  # of the user's voice

    @property
    def sound(self) -> bytes:
        """The sound since the end of the capture, as it is to hear it."""
        return self._sound

    @property
    def expired(self) -> bool:
        """True once it is too late to resume."""
        return len(self._sound) / 2 / SAMPLE_RATE >= RESUMPTION_SECONDS

    def user_resumed(self, pcm: bytes, *, playing: bool) -> bool:
        """As of Resumption."""
        self._sound += pcm
        before = self._voice.voiced_seconds
        self._voice.accept(pcm)
        if not playing or self._echo.user_is_louder(pcm):
            self._user_seconds += self._voice.voiced_seconds - before
        if not self._user_seconds:
            past = max(0, len(self._sound) - _ONSET_BYTES)
            self._sound = bytes(past) + self._sound[past:]
        return self._user_seconds >= RESUMED_VOICE_SECONDS

    def resumed_capture(self) -> Capture:
        """The capture, which goes on with the sound since its end."""
        self._capture.resume(self._sound)
        return self._capture


class NewWordsDetector:
    """Detects new words after a capture that has ended without a silence.

    Where all is a voice to the detector, only words tell that the user speaks.
    """

    def __init__(self, capture: Capture, echo: EchoLevel) -> None:
        self._capture = capture
        self._echo = echo
        self._sound = b""

    @property
    def sound(self) -> bytes:
        """The sound since the end of the capture, as it has heard it."""
        return self._sound

    @property
    def expired(self) -> bool:
        """True once it is too late to resume."""
        return len(self._sound) / 2 / SAMPLE_RATE >= RESUMPTION_SECONDS

    def user_resumed(self, pcm: bytes, *, playing: bool) -> bool:
        """As of Resumption; the capture hears the samples, too."""
        is_user = not playing or self._echo.user_is_louder(pcm)
        heard = pcm if is_user else bytes(len(pcm))
        self._sound += heard
        return self._capture.hears_words(heard)

    def resumed_capture(self) -> Capture:
        """The capture, which has heard the sound since its end."""
        return self._capture


class FinalSeedFilter:
    """Delays each seed until it can no longer be resumed; used for recordings.

    A command after a trigger takes the place of a seed, and is delayed likewise.
    """

    def __init__(self) -> None:
        self._seed: Seed | VoiceCommand | None = None
        self._final_at = 0.0  # audio time

    def filter(self, events: Sequence[Event], now: float) -> list[Event]:
        """The events that are final at this audio time, in seconds: delayed ones and new ones."""
        final: list[Event] = []
        for event in events:
            if isinstance(event, Resumed):
                self._seed = None
                continue
            final += self.finish()
            if isinstance(event, Seed) or (isinstance(event, VoiceCommand) and event.after_trigger):
                self._seed, self._final_at = event, now + RESUMPTION_SECONDS
            else:
                final.append(event)
        return final if now < self._final_at else final + self.finish()

    def finish(self) -> list[Event]:
        """The delayed seed, if any: no more sound follows."""
        seed, self._seed = self._seed, None
        return [] if seed is None else [seed]
