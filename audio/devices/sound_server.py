"""What a sound server (PulseAudio, or PipeWire in its place) knows of its devices.

PortAudio reaches it through ALSA, as one device without parts; the server itself is asked here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["input", "output"]

# How PulseAudio's and PipeWire's plugins for ALSA learn which of the server's devices to use.
_ROUTES = {"input": ("PULSE_SOURCE", "PIPEWIRE_NODE"), "output": ("PULSE_SINK", "PIPEWIRE_NODE")}


@dataclass(frozen=True)
class ServerDevice:
    """A device of the sound server.

    Attributes:
        name: the server's own name of it, which never changes.
        description: what the desktop shows.
        default: whether it is the default of its kind.
        muted: whether it is switched off in the mixer.
        volume: 0 to 1, or more.
        monitor: the loudspeaker to which this microphone listens, if it is no real one.
    """

    name: str
    description: str
    default: bool = False
    muted: bool = False
    volume: float = 1.0
    monitor: str = ""


def server_devices(kind: Kind) -> list[ServerDevice]:
    """The server's devices, real ones first; none where no server answers."""

    def question(pulse: Any) -> list[ServerDevice]:
        server = pulse.server_info()
        inputs = kind == "input"
        default = server.default_source_name if inputs else server.default_sink_name
        devices = [
            ServerDevice(
                found.name,
                found.description,
                found.name == default,
                bool(found.mute),
                round(found.volume.value_flat, 2),
                (found.monitor_of_sink_name or "") if inputs else "",
            )
            for found in (pulse.source_list() if inputs else pulse.sink_list())
        ]
        return sorted(devices, key=lambda device: bool(device.monitor))

    return _ask(question, [])


def echo_cancelling() -> ServerDevice | None:
    """A microphone from which the server takes away what its loudspeaker plays, if it has one.

    It is known by its name: module-echo-cancel of PulseAudio and of PipeWire call it so.
    """
    for source in server_devices("input"):
        if not source.monitor and cancels_echo(source.name, source.description):
            return source
    return None


def cancels_echo(*names: str) -> bool:
    """Whether one of a source's names says so."""
    words = " ".join(names).casefold()
    return "echo" in words and "cancel" in words


def missing_microphone(name: str) -> str:
    """Why the server's microphone of this name, or its default one for "", cannot be heard.

    A server whose last microphone goes offers what its loudspeaker plays in its place.
    """

    def question(pulse: Any) -> str:
        if name:
            gone = name not in [source.name for source in pulse.source_list()]
            return f"The sound server has no microphone {name!r} any more." if gone else ""
        server = pulse.server_info()
        gone = server.default_source_name == f"{server.default_sink_name}.monitor"
        return (
            "No microphone was found; the sound server offers only its own loudspeaker."
            if gone
            else ""
        )

    return _ask(question, "")


def route(kind: Kind, name: str) -> Mapping[str, str]:
    """The environment in which a stream must be opened to lead to this device of the server."""
    return dict.fromkeys(_ROUTES[kind], name) if name else {}


def _ask(question: Callable[[Any], T], without: T) -> T:
    """The answer; `without` a server. One that hangs keeps us for 30 s."""
    try:
        import pulsectl
    except (ImportError, OSError):  # libpulse is missing
        return without
    pulse = pulsectl.Pulse("afterword", connect=False)
    try:
        pulse.connect()
        return question(pulse)
    except pulsectl.PulseError:  # there is none, or it has just died
        return without
    finally:
        pulse.close()
