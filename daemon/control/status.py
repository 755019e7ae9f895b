"""The daemon's status: its type, as JSON carries it over the control socket, and its text form."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import TypedDict, cast

from daemon.timings import TurnRecord, TurnTimings
from model.checkpoints.adapter_store import with_adapter


class Devices(TypedDict):
    """The devices in use.

    Attributes:
        input: the microphone, as the settings name it; None for the default one.
        output: the loudspeaker, as the settings name it; None for the default one.
        model: where the language model computes: "cpu", "cuda", "mps".
    """

    input: int | str | None
    output: int | str | None
    model: str


class Weights(TypedDict):
    """The language model's weights.

    Attributes:
        made_at: Unix time in seconds.
        bits_per_byte: loss on the held-out texts of their training; None if not known.
    """

    name: str
    made_at: int
    bits_per_byte: float | None


class LastTurn(TypedDict):
    """The newest reply: the fields of `TurnRecord` and `TurnTimings` side by side."""

    number: int
    sentences: int
    outcome: str
    weights: str
    last_voice_seconds: float | None
    first_token_seconds: float | None
    first_sentence_seconds: float | None
    first_sound_seconds: float | None
    seconds: float | None
    prepared: bool


class Counts(TypedDict):
    """Counted by the event publisher since the start."""

    triggers: int
    replies: int
    failures: int
    last_turn: LastTurn | None


class ComponentStatus(TypedDict, total=False):
    """Settings, devices and models in force; without a key where the loop was given none.

    Attributes:
        phrases: the trigger phrases.
        models: path of each model, by kind: "hearing", "weights"; and "large" where these weights
            continue what is no story.
        adapters: by the same kinds, the name of the adapter that the weights are used with.
    """

    language: str
    phrases: list[str]
    devices: Devices
    models: dict[str, str]
    adapters: dict[str, str]
    weights: Weights


class Status(Counts, ComponentStatus):
    """The answer to the command `status`.

    Attributes:
        state: a phase of the conversation, "muted", or why the microphone is waited for.
        microphone: "open", "muted", or why it gives no sound.
        drops: blocks of sound lost because the loop was late.
        restarts: how often each part came back: "daemon", "speech", "microphone".
        voice: the voice in force; not that of the settings where that one does not work.
        speech: "ready", or why the speech engine does not work.
        reloading: True while a reload is under way.
        refused: why the newest settings or weights are not in force; None if they are.
    """

    state: str
    pid: int
    uptime_seconds: float
    microphone: str
    drops: int
    restarts: dict[str, int]
    voice: str
    speech: str
    reloading: bool
    refused: str | None


class WyomingStatus(TypedDict):
    """The answer of the Wyoming service to the command `status`.

    Attributes:
        address: where it listens, as a URI.
        services: of Wyoming, that are switched on: "handle", "tts", "asr", "wake".
        languages: that are continued, the default first.
        weights: names of the weights in memory, by language.
        voice: who speaks where no voice is asked for.
        clients: that are connected.
        refused: why the newest settings or weights are not in force; None if they are.
    """

    address: str
    pid: int
    uptime_seconds: float
    services: list[str]
    languages: list[str]
    weights: dict[str, list[str]]
    voice: str
    clients: int
    refused: str | None


def last_turn(record: TurnRecord) -> LastTurn:
    """A turn's record as `status` carries it."""
    content = {**asdict(record), **asdict(record.times)}
    del content["times"]
    return cast(LastTurn, content)


def in_lines(status: Status) -> Iterator[str]:
    """The status as text, line by line."""
    phrases = " or ".join(f'"{phrase}"' for phrase in status.get("phrases", []))
    devices: Mapping[str, object] = status.get("devices") or {}
    yield status["state"]
    yield f"  trigger     {phrases}"
    yield f"  running     {_duration(status['uptime_seconds'])}, process {status['pid']}"
    yield f"  microphone  {_name(devices.get('input'))}: {status['microphone']}"
    yield f"  speaker     {_name(devices.get('output'))}, voice {status['voice']}"
    for kind, path in status.get("models", {}).items():
        yield f"  {kind:<10}  {path}"
        if about := _about(status, kind):
            yield f"              ({about})"
    yield f"  device      {devices.get('model')}"
    yield (
        f"  so far      {status['triggers']} triggers, {status['replies']} replies, "
        f"{status['failures']} failed, {status['drops']} blocks of sound dropped"
    )
    restarts = status["restarts"].items()
    yield "  restarts    " + ", ".join(f"{name} {count}" for name, count in restarts)
    if status["speech"] != "ready":
        yield f"  speech      {status['speech']}"
    if status["reloading"]:
        yield "  reload      under way"
    if reason := status["refused"]:
        yield f"  refused     {reason}"
    if turn := status["last_turn"]:
        yield f"  last reply  {_record(turn).summary()}"


def wyoming_in_lines(status: WyomingStatus) -> Iterator[str]:
    """The Wyoming service's status as text, line by line."""
    yield f"Wyoming at {status['address']}"
    yield f"  running     {_duration(status['uptime_seconds'])}, process {status['pid']}"
    yield f"  services    {', '.join(status['services'])}"
    yield f"  languages   {', '.join(status['languages'])}"
    for code, names in status["weights"].items():
        yield f"  weights     {code}: {', '.join(names)}"
    yield f"  voice       {status['voice']}"
    yield f"  clients     {status['clients']}"
    if reason := status["refused"]:
        yield f"  refused     {reason}"


def _about(status: Status, kind: str) -> str:
    """The name of the weights of this kind, and what else is known of them; empty if nothing is."""
    weights, adapter = status.get("weights"), status.get("adapters", {}).get(kind, "")
    if kind != "weights" or weights is None:
        return f"with the adapter {adapter}" if adapter else ""
    bits = weights["bits_per_byte"]
    quality = "" if bits is None else f", {bits:g} bits/byte on its held-out texts"
    return with_adapter(weights["name"], adapter) + quality


def _record(turn: LastTurn) -> TurnRecord:
    """The inverse of `last_turn`."""
    content: Mapping[str, object] = {**turn}
    times = {field.name: content[field.name] for field in fields(TurnTimings)}
    timings = TurnTimings(**times)  # type: ignore[arg-type]
    weights = turn.get("weights", "")  # an older daemon tells none
    return TurnRecord(turn["number"], turn["sentences"], turn["outcome"], timings, weights)


def _name(device: object) -> str:
    return "default" if device is None else str(device)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
