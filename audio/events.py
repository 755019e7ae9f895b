"""Events of speech recognition. Times are audio times in seconds, as those of the chunks.

Their usual order: TriggerSuspected, Triggered, Partial and Paused while the user speaks, then one
of Seed, VoiceCommand and NoSpeech; Resumed may take either of the first two back.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TriggerSuspected:
    """A trigger or stop phrase is probably being said; a reply may pause for it.

    Emitted by the trigger and command detectors when a partial result first holds the phrase, once
    an utterance. Triggered or VoiceCommand follows within about a second, or nothing.
    """

    phrase: str


@dataclass(frozen=True)
class Triggered:
    """A trigger phrase was said; a capture has begun at its end.

    Emitted when the trigger detector's final result holds the phrase and the verifier agrees.

    Attributes:
        phrase: as written in the settings.
        at_seconds: the end of the phrase.
        is_louder: whether it was louder than the echo can be; False while that is unknown.
    """

    phrase: str
    at_seconds: float
    is_louder: bool = False


@dataclass(frozen=True)
class Partial:
    """The words of the capture so far; emitted by the capture whenever they change."""

    text: str


@dataclass(frozen=True)
class Paused:
    """The user has paused, and the seed is likely to be this text: a reply may be prepared.

    Emitted by the capture after a short silence, once for each text, unless the text is a command.
    """

    text: str


@dataclass(frozen=True)
class Seed:
    """The capture has ended with words.

    Emitted by the capture at its end point, and when the sound ends. Resumed may follow.

    Attributes:
        text: the words.
        end_seconds: the end of the last word.
    """

    text: str
    end_seconds: float


@dataclass(frozen=True)
class Resumed:
    """The user resumed speaking: the last Seed or VoiceCommand was premature.

    Emitted by the resumption detector up to 1.5 s after it. The same capture goes on; its next
    Seed holds the earlier words, too.
    """


@dataclass(frozen=True)
class NoSpeech:
    """The capture has ended without words: `reason` is "silence", "noise" or "end of audio".

    Emitted by the capture when its time is out, and when the sound ends.
    """

    reason: str


@dataclass(frozen=True)
class VoiceCommand:
    """A phrase that steers the conversation instead of being a seed.

    Emitted by the command detector for a phrase without a trigger, or in place of the Seed of a
    capture.

    Attributes:
        kind: "stop", "go on", "again" or "never mind".
        phrase: as written in the settings.
        after_trigger: whether it was a whole capture, or the "never mind" at the end of one.
        at_seconds: the end of the phrase.
    """

    kind: str
    phrase: str
    after_trigger: bool
    at_seconds: float


Event = TriggerSuspected | Triggered | Partial | Paused | Seed | Resumed | NoSpeech | VoiceCommand
