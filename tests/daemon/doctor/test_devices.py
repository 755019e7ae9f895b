"""`afterword devices`, with a real sound server and without one."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from config.load import load
from config.settings import Settings
from daemon.doctor import devices
from tests.audio.tones import RATE, tone
from tests.support.sound_server import SoundServer


def settings(**audio: int | str | None) -> Settings:
    found = load(None, []).settings
    return replace(found, audio=replace(found.audio, **audio))


def listed(capsys: pytest.CaptureFixture[str], chosen: Settings, listen: bool) -> Any:
    devices.print_devices(chosen, as_json=True, listen=listen)
    return {
        (entry["kind"], entry["choose"]): entry for entry in json.loads(capsys.readouterr().out)
    }


def test_default_chosen_and_muted_are_marked(
    sound_server: SoundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    usb = ["source_name=usb", "master=mic_in.monitor"]
    usb.append("source_properties=device.description=USB-Headset")
    sound_server.pactl("load-module", "module-remap-source", *usb)
    sound_server.pactl("set-source-mute", "usb", "1")
    sound_server.pactl("set-sink-volume", "speaker", "50%")
    found = listed(capsys, settings(input="headset"), listen=False)
    mic, usb_mic = found["input", "mic"], found["input", "usb"]
    assert (mic["default"], mic["chosen"], mic["muted"]) == (True, False, False)
    assert (usb_mic["default"], usb_mic["chosen"], usb_mic["muted"]) == (False, True, True)
    assert usb_mic["name"] == "USB-Headset"
    speaker = found["output", "speaker"]
    assert (speaker["default"], speaker["chosen"], speaker["volume"]) == (True, True, 0.5)
    devices.print_devices(settings(input="headset"), as_json=False, listen=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("→")] == [
        ["→", "USB-Headset", "usb", "muted"],
        ["→", "Null", "Output", "speaker", "default", "volume", "50%"],
    ]


def test_the_level_is_that_of_the_microphone_named(
    sound_server: SoundServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tone.wav"
    sf.write(path, tone(RATE, 60.0), RATE)  # a sine of half the full scale: -9 dB
    with sound_server.playing_into_microphone(path):
        found = listed(capsys, settings(), listen=True)
    assert found["input", "mic"]["level_db"] == pytest.approx(-9.0, abs=1.5)
    assert found["input", "speaker.monitor"]["level_db"] == -96.0


def test_a_name_that_fits_none_is_told(
    sound_server: SoundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    devices.print_devices(settings(output="hdmi"), as_json=False, listen=False)
    assert "audio.output: 'hdmi' is none of them" in capsys.readouterr().out


def test_a_microphone_chosen_by_its_servers_name_is_the_one_heard(
    sound_server: SoundServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sound_server.pactl("load-module", "module-null-sink", "sink_name=other")
    path = tmp_path / "tone.wav"
    sf.write(path, tone(RATE, 60.0), RATE)
    with sound_server.playing_into_microphone(path, "other"):
        found = listed(capsys, settings(), listen=True)
    assert found["input", "other.monitor"]["level_db"] > -12.0
    assert found["input", "mic"]["level_db"] == -96.0
