"""What can be set: frozen values with their ranges, one dataclass per section of the YAML file.

`config/default.yaml` documents each key for users and gives its default; this file is the law on
types and ranges. Fields have no defaults here, so that the two can never disagree.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

SLOWEST_WPM, FASTEST_WPM = 80, 450  # words per minute of every voice engine

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

# Strict: "150" is not a number and yes is not 1, so that a slip is told, not guessed.
Text = Annotated[str, Strict(), Field(min_length=1)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Real = Annotated[float, Strict()]  # a whole number will do


@dataclass(frozen=True, config=_STRICT)
class TriggerSettings:
    """When to start listening to a seed."""

    phrases: Annotated[list[Text], Field(min_length=1, max_length=16)]
    must_begin: Flag
    cooldown_seconds: Annotated[Real, Field(ge=0, le=60)]
    stop_phrases: Annotated[list[Text], Field(max_length=16)]


@dataclass(frozen=True, config=_STRICT)
class SeedSettings:
    """How a spoken seed begins and ends, in seconds of audio."""

    silence_seconds: Annotated[Real, Field(ge=0.2, le=5)]
    timeout_seconds: Annotated[Real, Field(ge=1, le=60)]
    max_seconds: Annotated[Real, Field(ge=2, le=120)]


@dataclass(frozen=True, config=_STRICT)
class ConversationSettings:
    """Words that steer, and how long after a reply some need no trigger."""

    go_on_phrases: Annotated[list[Text], Field(max_length=16)]
    again_phrases: Annotated[list[Text], Field(max_length=16)]
    never_mind_phrases: Annotated[list[Text], Field(max_length=16)]
    follow_up_seconds: Annotated[Real, Field(ge=0, le=60)]


Cue = Annotated[bool, Strict()] | Text


@dataclass(frozen=True, config=_STRICT)
class CueSettings:
    """Short sounds: true is the one that comes with us, false none, a text a WAV file."""

    trigger: Cue
    captured: Cue
    nothing: Cue
    error: Cue
    volume: Annotated[Real, Field(ge=0, le=1)]


@dataclass(frozen=True, config=_STRICT)
class HearingSettings:
    """The recogniser."""

    model: Text | None


@dataclass(frozen=True, config=_STRICT)
class ModelSettings:
    """How the Transformer continues a seed."""

    weights: Text | None
    device: Text
    temperature: Annotated[Real, Field(ge=0, le=5)]
    top_k: Annotated[Whole, Field(ge=0)]
    top_p: Annotated[Real, Field(gt=0, le=1)]
    min_p: Annotated[Real, Field(ge=0, lt=1)]
    repetition_penalty: Annotated[Real, Field(ge=1, le=2)]
    max_sentences: Annotated[Whole, Field(ge=1, le=100)]
    max_new_tokens: Annotated[Whole, Field(ge=1, le=4096)]
    random_seed: Annotated[Whole, Field(ge=0, lt=2**63)] | None
    threads: Annotated[Whole, Field(ge=1, le=256)]


@dataclass(frozen=True, config=_STRICT)
class VoiceSettings:
    """How the continuation sounds."""

    name: Text
    rate_wpm: Annotated[Whole, Field(ge=SLOWEST_WPM, le=FASTEST_WPM)]
    volume: Annotated[Real, Field(ge=0, le=1)]
    pause_seconds: Annotated[Real, Field(ge=0, le=3)]


@dataclass(frozen=True, config=_STRICT)
class AudioSettings:
    """Microphone and loudspeaker, by name, part of a name or number; none is the default one."""

    input: Text | Annotated[Whole, Field(ge=0)] | None
    output: Text | Annotated[Whole, Field(ge=0)] | None


@dataclass(frozen=True, config=_STRICT)
class HistorySettings:
    """Whether exchanges are kept, in words."""

    enabled: Annotated[bool, Strict()]
    max_kilobytes: Annotated[Whole, Field(ge=10, le=100_000)]


@dataclass(frozen=True, config=_STRICT)
class CapturesSettings:
    """Whether seeds are kept, as sound."""

    keep: Annotated[Whole, Field(ge=0, le=1000)]
    expire_hours: Annotated[Real, Field(gt=0, le=8760)]


@dataclass(frozen=True, config=_STRICT)
class LogSettings:
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """All of it, as validated."""

    language: Literal["en", "zh"]
    trigger: TriggerSettings
    seed: SeedSettings
    conversation: ConversationSettings
    cues: CueSettings
    hearing: HearingSettings
    model: ModelSettings
    voice: VoiceSettings
    audio: AudioSettings
    history: HistorySettings
    captures: CapturesSettings
    log: LogSettings
