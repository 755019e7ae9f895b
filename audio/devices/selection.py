"""Find microphones and loudspeakers by number, name or part of a name."""

from collections.abc import Sequence
from dataclasses import dataclass

from audio.devices.portaudio import import_sounddevice, look_again
from audio.devices.sound_server import Kind, echo_cancelling, server_devices
from config.errors import AudioDeviceError, ConfigError

SERVERS = ("pulse", "pipewire")  # how ALSA calls the ways to a sound server
ALIASES = (*SERVERS, "default", "sysdefault")  # no devices of their own where there is one

_NOUN = {"input": "microphone", "output": "loudspeaker"}
_WITHOUT = {
    "input": "play a recording into it with --wav",
    "output": "write the speech to a file with --out",
}


@dataclass(frozen=True)
class Device:
    """A sound device.

    Attributes:
        number: PortAudio's index, which changes when devices come and go; None is its default.
        name: what PortAudio, or the desktop, calls it.
        server_name: the sound server's own name of it, where the server stands between.
    """

    number: int | None
    name: str
    server_name: str = ""


def devices(kind: Kind) -> list[Device]:
    """All devices of a kind, in PortAudio's order, as they were when it last looked.

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
    """The wanted device; the default one if `wanted` is None.

    Where none fits, PortAudio looks again for devices that came later.

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
        return _without_echo(known) if kind == "input" else Device(None, "default")
    return choose_device(kind, wanted, [*_of_server(kind, known), *known])


def _without_echo(known: Sequence[Device]) -> Device:
    """The default microphone, or better one that does not hear the loudspeaker."""
    way = way_to_server(known)
    source = echo_cancelling() if way else None
    if way is None or source is None:
        return Device(None, "default")
    return Device(way.number, source.description, source.name)


def way_to_server(known: Sequence[Device]) -> Device | None:
    """PortAudio's device behind which the whole sound server is, if it sees one."""
    return next((device for name in SERVERS for device in known if device.name == name), None)


def _of_server(kind: Kind, known: Sequence[Device]) -> list[Device]:
    """What the sound server offers, by both names of each; nothing if PortAudio does not see it."""
    way = way_to_server(known)
    if way is None:
        return []
    return [
        Device(way.number, name, found.name)
        for found in server_devices(kind)
        for name in dict.fromkeys([found.description, found.name])
    ]


def choose_device(kind: Kind, wanted: int | str, candidates: Sequence[Device]) -> Device:
    """The candidate that `wanted` means.

    A whole name goes before a part of one, the sound server's devices before the hardware behind
    them; upper and lower case are the same. What hears a loudspeaker wants its whole name.

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
