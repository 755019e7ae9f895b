"""Queries of the sound server (PulseAudio, or PipeWire in its place) about its devices.

PortAudio reaches the server through ALSA, as a single device, so the server is asked directly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Kind = Literal["input", "output"]

# Variables by which PulseAudio's and PipeWire's plugins for ALSA choose the server's device.
_ROUTES = {"input": ("PULSE_SOURCE", "PIPEWIRE_NODE"), "output": ("PULSE_SINK", "PIPEWIRE_NODE")}


@dataclass(frozen=True)
class ServerDevice:
    """A device of the sound server.

    Attributes:
        name: the server's name of it, which never changes.
        description: its name on the desktop.
        default: whether it is the default of its kind.
        muted: whether it is muted in the mixer.
        volume: 1 is 100 %; may be above.
        monitor: the loudspeaker whose output this source gives; "" for a real microphone.
    """

    name: str
    description: str
    default: bool = False
    muted: bool = False
    volume: float = 1.0
    monitor: str = ""


def server_devices(kind: Kind) -> list[ServerDevice]:
    """The server's devices, monitors last; none if no server answers."""

    def query(pulse: Any) -> list[ServerDevice]:
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

    return _ask(query, [])


def echo_cancelling() -> ServerDevice | None:
    """The server's first microphone with echo cancellation, if any.

    It is recognised by the name that module-echo-cancel of PulseAudio and of PipeWire gives it.
    """
    for source in server_devices("input"):
        if not source.monitor and cancels_echo(source.name, source.description):
            return source
    return None


def cancels_echo(*names: str) -> bool:
    """True if a source with these names has echo cancellation."""
    words = " ".join(names).casefold()
    return "echo" in words and "cancel" in words


def missing_microphone(name: str) -> str:
    """Why the microphone of this name, or the default one for "", is missing; "" if it is not.

    A server without a microphone makes the monitor of its loudspeaker the default source.
    """

    def query(pulse: Any) -> str:
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

    return _ask(query, "")


def route(kind: Kind, name: str) -> Mapping[str, str]:
    """The environment variables by which a stream opens this device of the server."""
    return dict.fromkeys(_ROUTES[kind], name) if name else {}


def _ask(query: Callable[[Any], T], without: T) -> T:
    """Ask the server; `without` is the answer if there is none. One that hangs takes 30 s."""
    try:
        import pulsectl
    except (ImportError, OSError):  # libpulse is missing
        return without
    pulse = pulsectl.Pulse("afterword", connect=False)
    try:
        pulse.connect()
        return query(pulse)
    except pulsectl.PulseError:  # there is none, or it has just died
        return without
    finally:
        pulse.close()
