"""Private PipeWire server with the virtual devices of daemon/bench/virtual_audio.py.

Its session manager needs D-Bus.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from daemon.bench.virtual_audio import ServerSpec, SoundServer

PROGRAMS = ("pipewire", "wireplumber", "pipewire-pulse", "dbus-daemon", "pactl", "paplay", "parec")

_SETUP = (
    "load-module module-null-sink sink_name=speaker rate=48000 channels=2",
    "load-module module-null-sink sink_name=mic_in rate=48000 channels=1 channel_map=mono",
    "load-module module-remap-source source_name=mic master=mic_in.monitor",
    "set-default-sink speaker",
    "set-default-source mic",
)


def missing() -> list[str]:
    """Names of PipeWire's programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def pipewire(folder: Path) -> SoundServer:
    """A server in this folder that answers PulseAudio's clients."""
    return SoundServer(folder, ServerSpec(_processes, _SETUP, _environment))


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
