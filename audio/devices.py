"""Find microphones and loudspeakers by number, name or part of a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audio.portaudio import import_sounddevice, look_again
from config.errors import AudioDeviceError, ConfigError

Kind = Literal["input", "output"]

_NOUN = {"input": "microphone", "output": "loudspeaker"}
_WITHOUT = {
    "input": "play a recording into it with --wav",
    "output": "write the speech to a file with --out",
}


@dataclass(frozen=True)
class Device:
    """A sound device.

    Attributes:
        number: PortAudio's index of it; it changes when devices come and go.
        name: what PortAudio calls it.
    """

    number: int
    name: str


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


def find_device(kind: Kind, wanted: int | str | None) -> int | None:
    """PortAudio's number of the wanted device; None for the default one if `wanted` is None.

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


def _find(kind: Kind, wanted: int | str | None) -> int | None:
    candidates = devices(kind)
    if not candidates:
        raise AudioDeviceError(
            f"No {_NOUN[kind]} was found; connect one, or start the sound server of your session, "
            f"or {_WITHOUT[kind]}."
        )
    return choose_device(kind, wanted, candidates)


def choose_device(kind: Kind, wanted: int | str | None, candidates: Sequence[Device]) -> int | None:
    """The number of the candidate that `wanted` means; None if `wanted` is None.

    A whole name goes before a part of one; upper and lower case are the same.

    Raises:
        ConfigError: no candidate, or more than one, answers to `wanted`.
    """
    if wanted is None:
        return None
    if isinstance(wanted, int) or wanted.isdecimal():
        matches = [device for device in candidates if device.number == int(wanted)]
    else:
        name = wanted.casefold()
        matches = [device for device in candidates if device.name.casefold() == name]
        matches = matches or [device for device in candidates if name in device.name.casefold()]
    if len(matches) == 1:
        return matches[0].number
    problem = "is not the name of a" if not matches else "is the name of more than one"
    listed = ", ".join(f"{device.number} {device.name!r}" for device in matches or candidates)
    raise ConfigError(f"audio.{kind}: {wanted!r} {problem} {_NOUN[kind]}; choose one of: {listed}.")
