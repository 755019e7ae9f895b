"""Finds microphones and loudspeakers by number, name or part of a name."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio.devices.portaudio import import_sounddevice, look_again
from audio.devices.sound_server import Kind, echo_cancelling, server_devices
from config.errors import AudioDeviceError, ConfigError

SERVERS = ("pulse", "pipewire")  # ALSA's devices that lead to a sound server
ALIASES = (*SERVERS, "default", "sysdefault")  # not devices of their own if there is a sound server

_NOUN = {"input": "microphone", "output": "loudspeaker"}
_WITHOUT = {
    "input": "play a recording into it with --wav",
    "output": "write the speech to a file with --out",
}


@dataclass(frozen=True)
class Device:
    """A sound device.

    Attributes:
        number: PortAudio's index, which changes when devices come and go; None for its default.
        name: the name in PortAudio, or on the desktop.
        server_name: its name in the sound server; "" if it is not reached through one.
    """

    number: int | None
    name: str
    server_name: str = ""


def devices(kind: Kind) -> list[Device]:
    """All devices of a kind, in PortAudio's order, as last listed by PortAudio.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    sounddevice = import_sounddevice()
    return [
        Device(number, str(device["name"]))
        for number, device in enumerate(sounddevice.query_devices())
        if device[f"max_{kind}_channels"] > 0
    ]


def find_device(kind: Kind, wanted: int | str | None) -> Device:
    """The device with the number or name `wanted`; the default one for None.

    If none fits, PortAudio lists the devices anew first.

    Raises:
        AudioDeviceError: there is no device of this kind, or PortAudio is missing.
        ConfigError: no device, or more than one, answers to `wanted`.
    """
    try:
        return _find(kind, wanted)
    except (AudioDeviceError, ConfigError):
        if not look_again():
            raise
        return _find(kind, wanted)


def _find(kind: Kind, wanted: int | str | None) -> Device:
    known = devices(kind)
    if not known:
        raise AudioDeviceError(
            f"No {_NOUN[kind]} was found; connect one, or start the sound server of your session, "
            f"or {_WITHOUT[kind]}."
        )
    if wanted is None:
        return _default_microphone(known) if kind == "input" else Device(None, "default")
    return choose_device(kind, wanted, [*_of_server(kind, known), *known])


def _default_microphone(known: Sequence[Device]) -> Device:
    """A microphone with echo cancellation if there is one, else the default one."""
    server = way_to_server(known)
    source = echo_cancelling() if server else None
    if server is None or source is None:
        return Device(None, "default")
    return Device(server.number, source.description, source.name)


def way_to_server(known: Sequence[Device]) -> Device | None:
    """PortAudio's device that leads to the sound server; None if there is none."""
    return next((device for name in SERVERS for device in known if device.name == name), None)


def _of_server(kind: Kind, known: Sequence[Device]) -> list[Device]:
    """The sound server's devices under both of their names; none if PortAudio has no server."""
    server = way_to_server(known)
    if server is None:
        return []
    return [
        Device(server.number, name, found.name)
        for found in server_devices(kind)
        for name in dict.fromkeys([found.description, found.name])
    ]


def choose_device(kind: Kind, wanted: int | str, candidates: Sequence[Device]) -> Device:
    """The candidate with the number or name `wanted`, without regard to case.

    A whole name precedes a part of one, the sound server's devices the hardware behind them. A
    monitor of a loudspeaker is found by its whole name only.

    Raises:
        ConfigError: no candidate, or more than one, answers to `wanted`.
    """
    matches = _matches(wanted, candidates)
    if len({device.server_name or device.number for device in matches}) == 1:
        return matches[0]
    problem = "is not the name of a" if not matches else "is the name of more than one"
    listed = ", ".join(dict.fromkeys(_in_words(device) for device in matches or candidates))
    raise ConfigError(f"audio.{kind}: {wanted!r} {problem} {_NOUN[kind]}; choose one of: {listed}.")


def _matches(wanted: int | str, candidates: Sequence[Device]) -> list[Device]:
    if isinstance(wanted, int) or wanted.isdecimal():
        return [d for d in candidates if d.number == int(wanted) and not d.server_name]
    name = wanted.casefold()
    whole = [device for device in candidates if device.name.casefold() == name]
    part = [
        device
        for device in candidates
        if name in device.name.casefold() and not device.server_name.endswith(".monitor")
    ]
    for found in (whole, part):
        if of_server := [device for device in found if device.server_name]:
            return of_server
        if found:
            return found
    return []


def _in_words(device: Device) -> str:
    return repr(device.server_name) if device.server_name else f"{device.number} {device.name!r}"
