"""Types and ranges of all settings: a frozen dataclass for each section of the YAML file.

`config/default.yaml` documents each key for users and gives its default. Fields have no defaults
here, so that the two files cannot disagree.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

SLOWEST_WPM, FASTEST_WPM = 80, 450  # words per minute of every voice engine

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

# Strict: "150" is no number and yes is not 1; a slip is an error and is not converted.
Text = Annotated[str, Strict(), Field(min_length=1)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Real = Annotated[float, Strict()]  # whole numbers are accepted


@dataclass(frozen=True, config=_STRICT)
class TriggerSettings:
    """The wake phrase that starts the capture of a seed."""

    phrases: Annotated[list[Text], Field(min_length=1, max_length=16)]
    must_begin: Flag
    cooldown_seconds: Annotated[Real, Field(ge=0, le=60)]


@dataclass(frozen=True, config=_STRICT)
class SeedSettings:
    """Endpointing of a spoken seed, in seconds of audio."""

    silence_seconds: Annotated[Real, Field(ge=0.2, le=5)]
    timeout_seconds: Annotated[Real, Field(ge=1, le=60)]
    max_seconds: Annotated[Real, Field(ge=2, le=120)]


@dataclass(frozen=True, config=_STRICT)
class CommandSettings:
    """Phrases that steer the conversation, by what each does; an empty list is off."""

    stop: Annotated[list[Text], Field(max_length=16)]
    go_on: Annotated[list[Text], Field(max_length=16)]
    again: Annotated[list[Text], Field(max_length=16)]
    never_mind: Annotated[list[Text], Field(max_length=16)]


@dataclass(frozen=True, config=_STRICT)
class ConversationSettings:
    """How long after a reply some commands need no trigger."""

    follow_up_seconds: Annotated[Real, Field(ge=0, le=60)]


Cue = Flag | Text


@dataclass(frozen=True, config=_STRICT)
class CueSettings:
    """Short tones: true is the built-in one, false none, a text the name of a WAV file."""

    trigger: Cue
    captured: Cue
    nothing: Cue
    error: Cue
    volume: Annotated[Real, Field(ge=0, le=1)]


@dataclass(frozen=True, config=_STRICT)
class HearingSettings:
    """The speech recognisers: folders of a Vosk and of a Whisper model, and which hears seeds."""

    model: Text | None
    seed: Literal["vosk", "careful"]
    careful_model: Text | None


def _none_if_auto(value: object) -> object:
    return None if value == "auto" else value


@dataclass(frozen=True, config=_STRICT)
class ModelSettings:
    """Weights, device and sampling of the Transformer; no weights: chosen automatically."""

    weights: Annotated[Text | None, BeforeValidator(_none_if_auto)]
    device: Text
    temperature: Annotated[Real, Field(ge=0, le=5)]
    top_k: Annotated[Whole, Field(ge=0)]
    top_p: Annotated[Real, Field(gt=0, le=1)]
    min_p: Annotated[Real, Field(ge=0, lt=1)]
    repetition_penalty: Annotated[Real, Field(ge=1, le=2)]
    family: Flag
    max_sentences: Annotated[Whole, Field(ge=1, le=100)]
    max_new_tokens: Annotated[Whole, Field(ge=1, le=4096)]
    random_seed: Annotated[Whole, Field(ge=0, lt=2**63)] | None
    threads: Annotated[Whole, Field(ge=1, le=256)]


@dataclass(frozen=True, config=_STRICT)
class VoiceSettings:
    """Speech synthesis."""

    name: Text
    rate_wpm: Annotated[Whole, Field(ge=SLOWEST_WPM, le=FASTEST_WPM)]
    volume: Annotated[Real, Field(ge=0, le=1)]
    pause_seconds: Annotated[Real, Field(ge=0, le=3)]


@dataclass(frozen=True, config=_STRICT)
class AudioSettings:
    """Microphone and loudspeaker, by name, part of a name or number; None is the default device."""

    input: Text | Annotated[Whole, Field(ge=0)] | None
    output: Text | Annotated[Whole, Field(ge=0)] | None


@dataclass(frozen=True, config=_STRICT)
class HistorySettings:
    """The optional file of exchanges as text."""

    enabled: Flag
    max_kilobytes: Annotated[Whole, Field(ge=10, le=100_000)]


@dataclass(frozen=True, config=_STRICT)
class CapturesSettings:
    """The optional debug recordings of seeds."""

    keep: Annotated[Whole, Field(ge=0, le=1000)]
    expire_hours: Annotated[Real, Field(gt=0, le=8760)]


@dataclass(frozen=True, config=_STRICT)
class LogSettings:
    """Logging to standard error."""

    level: Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """All settings, validated."""

    language: Literal["en", "zh"]
    trigger: TriggerSettings
    seed: SeedSettings
    commands: CommandSettings
    conversation: ConversationSettings
    cues: CueSettings
    hearing: HearingSettings
    model: ModelSettings
    voice: VoiceSettings
    audio: AudioSettings
    history: HistorySettings
    captures: CapturesSettings
    log: LogSettings
