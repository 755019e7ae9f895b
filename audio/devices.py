"""Find microphones and loudspeakers by number, name or part of a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

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


def import_sounddevice() -> ModuleType:
    """Load PortAudio's Python binding; it probes the sound hardware, which takes a moment.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    try:
        import sounddevice

        module: ModuleType = sounddevice
    except OSError as error:
        raise AudioDeviceError(
            "The PortAudio library, through which sound is recorded and played, was not found; "
            "install it (Debian and Ubuntu: `sudo apt-get install libportaudio2`)."
        ) from error
    except Exception as error:  # sounddevice.PortAudioError cannot be named if its import fails
        raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
    return module


def devices(kind: Kind) -> list[Device]:
    """All devices of a kind, in PortAudio's order.

    PortAudio makes its list when it starts. An empty one is made anew here, since no stream can
    be open on it; a list with devices is not, because that would end every open stream.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    sounddevice = import_sounddevice()
    if len(sounddevice.query_devices()) == 0:
        try:
            sounddevice._terminate()
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(f"PortAudio does not start: {error}.") from error
    return [
        Device(number, str(device["name"]))
        for number, device in enumerate(sounddevice.query_devices())
        if device[f"max_{kind}_channels"] > 0
    ]


def find_device(kind: Kind, wanted: int | str | None) -> int | None:
    """PortAudio's number of the wanted device; None for the default one if `wanted` is None.

    Raises:
        AudioDeviceError: there is no device of this kind, or PortAudio is missing.
        ConfigError: no device, or more than one, answers to `wanted`.
    """
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
