"""Queries of a real PulseAudio about its devices; and without one."""

from collections.abc import Callable
from typing import Any

import pulsectl
import pytest

from audio.devices.sound_server import (
    Kind,
    cancels_echo,
    echo_cancelling,
    missing_microphone,
    route,
    server_devices,
)
from tests.support.sound_server import SoundServer


def named(kind: Kind) -> dict[str, Any]:
    return {device.name: device for device in server_devices(kind)}


def test_microphones_come_before_monitors_with_their_loudspeaker(sound_server: SoundServer) -> None:
    found = server_devices("input")
    assert [device.name for device in found][:1] == ["mic"]
    monitors = {device.name: device.monitor for device in found if device.monitor}
    assert monitors["speaker.monitor"] == "speaker"
    assert [bool(device.monitor) for device in found] == sorted(
        bool(device.monitor) for device in found
    )


def test_the_defaults_are_marked(sound_server: SoundServer) -> None:
    for kind, name in (("input", "mic"), ("output", "speaker")):
        devices = named(kind)  # type: ignore[arg-type]
        assert [one for one in devices if devices[one].default] == [name]
    sound_server.pactl("set-default-source", "speaker.monitor")
    devices = named("input")
    assert [one for one in devices if devices[one].default] == ["speaker.monitor"]


def test_volume_and_mute_are_those_of_the_mixer(sound_server: SoundServer) -> None:
    assert (named("output")["speaker"].muted, named("output")["speaker"].volume) == (False, 1.0)
    sound_server.pactl("set-sink-volume", "speaker", "40%")
    sound_server.pactl("set-source-mute", "mic", "1")
    assert named("output")["speaker"].volume == 0.4
    assert not named("output")["speaker"].muted
    assert named("input")["mic"].muted
    assert all(not device.monitor for device in server_devices("output"))


def test_a_microphone_with_echo_cancellation_is_found_by_its_name(
    sound_server: SoundServer,
) -> None:
    assert echo_cancelling() is None
    # The monitor of a sink of that name cancels nothing.
    sound_server.pactl("load-module", "module-null-sink", "sink_name=echo_cancel_sink")
    assert echo_cancelling() is None
    remap = ("source_name=mic.echo-cancel", "master=mic")
    sound_server.pactl("load-module", "module-remap-source", *remap)
    source = echo_cancelling()
    assert source is not None
    assert source.name == "mic.echo-cancel"


@pytest.mark.parametrize(
    ("names", "cancels"),
    [
        (("echo-cancel-source",), True),
        (("alsa_input.usb", "Desk (Echo-Cancelled)"), True),
        (("alsa_input.echo", "Echo Dot"), False),
        (("noise-cancel",), False),
    ],
)
def test_echo_cancellation_needs_both_words(names: tuple[str, ...], cancels: bool) -> None:
    assert cancels_echo(*names) is cancels


def test_a_microphone_that_is_gone_is_missed(sound_server: SoundServer) -> None:
    assert missing_microphone("mic") == ""
    assert missing_microphone("") == ""
    assert "no microphone 'desk' any more" in missing_microphone("desk")


def test_a_loudspeakers_monitor_is_no_default_microphone(sound_server: SoundServer) -> None:
    sound_server.pactl("set-default-source", "speaker.monitor")
    assert "offers only its own loudspeaker" in missing_microphone("")
    assert missing_microphone("mic") == ""  # one that was chosen is still there


def test_a_stream_is_routed_by_the_environment() -> None:
    assert route("input", "") == {}
    assert route("input", "mic") == {"PULSE_SOURCE": "mic", "PIPEWIRE_NODE": "mic"}
    assert route("output", "speaker") == {"PULSE_SINK": "speaker", "PIPEWIRE_NODE": "speaker"}


ANSWERS: list[Callable[[], object]] = [
    lambda: server_devices("input"),
    lambda: server_devices("output"),
    echo_cancelling,
    lambda: missing_microphone("mic"),
    lambda: missing_microphone(""),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_without_a_server_nothing_is_known_and_nothing_missed(
    answer: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere/pulse")
    assert not answer()


class DyingServer:
    """Answers the connection, and dies before the first query."""

    closed = 0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def connect(self) -> None:
        pass

    def close(self) -> None:
        DyingServer.closed += 1

    def server_info(self) -> None:
        raise pulsectl.PulseOperationFailed("died")

    source_list = sink_list = server_info


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_server_that_dies_meanwhile_is_none_and_is_let_go_of(
    answer: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulsectl, "Pulse", DyingServer)
    before = DyingServer.closed
    assert not answer()
    assert DyingServer.closed == before + 1
