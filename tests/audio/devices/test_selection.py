"""A device is found by number, name or part of a name."""

import builtins
from types import ModuleType
from typing import Any

import pytest

from audio.devices import selection
from audio.devices.portaudio import import_sounddevice
from audio.devices.selection import Device, choose_device, find_device
from config.errors import AudioDeviceError, ConfigError
from tests.support.sound_server import SoundServer

USB = Device(2, "USB Headset: Audio (hw:1,0)")
DEVICES = [Device(0, "pulse"), USB, Device(5, "pulse monitor"), Device(7, "USB Webcam")]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [(5, 5), ("5", 5), ("pulse", 0), ("PULSE", 0), ("headset", 2), ("webcam", 7)],
)
def test_every_way_to_name_a_device_finds_it(wanted: int | str, number: int) -> None:
    assert choose_device("input", wanted, DEVICES).number == number


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("usb", "audio.output: 'usb' is the name of more than one loudspeaker; choose one of: 2"),
        ("hdmi", "audio.output: 'hdmi' is not the name of a loudspeaker; choose one of: 0 'pulse'"),
        (1, "audio.output: 1 is not the name of a loudspeaker"),
    ],
)
def test_an_unclear_name_is_refused_with_the_candidates(wanted: int | str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose_device("output", wanted, DEVICES)
    assert sentence in str(caught.value)
    assert "7 'USB Webcam'" in str(caught.value)


def test_a_machine_without_devices_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "devices", lambda _: [])
    with pytest.raises(AudioDeviceError, match="No microphone was found"):
        find_device("input", None)


def test_without_portaudio_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without(name: str, *rest: Any) -> ModuleType:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AudioDeviceError, match="apt-get install libportaudio2"):
        import_sounddevice()


BOTH = [
    Device(0, "USB Headset Mono", "alsa_input.usb"),
    Device(0, "alsa_input.usb", "alsa_input.usb"),
    Device(0, "Monitor of USB Headset", "alsa_output.usb.monitor"),
    USB,
]


@pytest.mark.parametrize(
    ("wanted", "server_name"),
    [
        ("headset", "alsa_input.usb"),  # the hardware behind it, and what it plays, stand back
        ("monitor of usb headset", "alsa_output.usb.monitor"),
        ("hw:1,0", ""),
        (2, ""),
    ],
)
def test_the_servers_device_goes_before_the_hardware(wanted: int | str, server_name: str) -> None:
    assert choose_device("input", wanted, BOTH).server_name == server_name


def test_the_devices_of_a_real_sound_server_are_found(sound_server: SoundServer) -> None:
    assert find_device("output", None).number is None
    names = {device.number: device.name for device in selection.devices("input")}
    number = find_device("input", "pulse").number
    assert number is not None
    assert names[number] == "pulse"
    assert find_device("input", "mic") == Device(number, "mic", "mic")
    assert find_device("output", "speak").server_name == "speaker"
