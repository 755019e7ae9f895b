"""A private PipeWire with the devices of daemon/bench/virtual_audio.py.

WirePlumber, the session manager, needs a D-Bus.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from daemon.bench.virtual_audio import Make, SoundServer

PROGRAMS = ("pipewire", "wireplumber", "pipewire-pulse", "dbus-daemon", "pactl", "paplay", "parec")

_SETUP = (
    "load-module module-null-sink sink_name=speaker rate=48000 channels=2",
    "load-module module-null-sink sink_name=mic_in rate=48000 channels=1 channel_map=mono",
    "load-module module-remap-source source_name=mic master=mic_in.monitor",
    "set-default-sink speaker",
    "set-default-source mic",
)


def missing() -> list[str]:
    """The programs of PipeWire that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def pipewire(folder: Path) -> SoundServer:
    """A PipeWire with its sockets in this folder, which answers PulseAudio's programs."""
    return SoundServer(folder, Make(_processes, _SETUP, _environment))


def _processes(folder: Path) -> Sequence[tuple[Sequence[str], Path]]:
    bus = ["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={_bus(folder)}"]
    core, pulse = folder / "pipewire-0", folder / "pulse" / "native"
    return [
        (bus, folder / "bus"),
        (["pipewire"], core),
        (["wireplumber"], core),
        (["pipewire-pulse"], pulse),
    ]


def _environment(folder: Path) -> Mapping[str, str]:
    return {"DBUS_SESSION_BUS_ADDRESS": _bus(folder)}


def _bus(folder: Path) -> str:
    return f"unix:path={folder}/bus"
