"""`afterword devices`: lists microphones and loudspeakers, their levels, and how to choose one."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import click

from audio.devices.sound_server import Kind
from config.errors import AfterwordError, ConfigError
from config.settings import Settings
from config.standard_streams import json_bytes
from daemon.doctor.sound import bar

LISTEN_SECONDS = 0.5
LISTEN_TIMEOUT_SECONDS = 3.0  # for a microphone that starts slowly
EMPTY_CHUNK_SECONDS = 0.24  # between the empty chunks of a microphone without sound
TITLES: dict[Kind, str] = {"input": "Microphones", "output": "Loudspeakers"}


@dataclass(frozen=True)
class DeviceEntry:
    """One device of the list.

    Attributes:
        name: the name for people; `choose` is the value for audio.input or audio.output.
        through: "server" or "portaudio": the way to the device.
        level_db: mean level of half a second, dB of full scale; None if not measured.
        volume: in the sound server's mixer, 0 to 1 or more; None if it has none.
        problem: why the microphone gives no sound.
    """

    kind: Kind
    name: str
    choose: str
    through: Literal["server", "portaudio"]
    default: bool = False
    chosen: bool = False
    muted: bool = False
    volume: float | None = None
    level_db: float | None = None
    problem: str = ""


def print_devices(settings: Settings, *, as_json: bool, listen: bool) -> None:
    """Print the list; `listen` opens each microphone for half a second.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    entries = [*_entries("input", settings, listen), *_entries("output", settings, listen)]
    if as_json:
        click.echo(json_bytes([asdict(entry) for entry in entries]))
        return
    widths = [max(map(len, column), default=0) for column in _columns(entries)]
    for kind, title in TITLES.items():
        click.echo(title)
        found = [entry for entry in entries if entry.kind == kind]
        for entry in found:
            click.echo(f"{'→' if entry.chosen else ' '} {_as_text(entry, widths)}")
        if not found:
            click.echo("  none; connect one, or start the sound server of your session")
        wanted = settings.audio.input if kind == "input" else settings.audio.output
        if wanted is not None and not any(entry.chosen for entry in found):
            click.echo(f"  audio.{kind}: {wanted!r} is none of them, or more than one")


def _columns(entries: Sequence[DeviceEntry]) -> tuple[list[str], list[str]]:
    return [entry.name for entry in entries], [entry.choose for entry in entries]


def _as_text(entry: DeviceEntry, widths: Sequence[int]) -> str:
    words = [f"{entry.name:<{widths[0]}}", f"{entry.choose:<{widths[1]}}"]
    words += ["default"] * entry.default + ["muted"] * entry.muted
    if entry.level_db is not None:
        words.append(f"{bar(entry.level_db)} {entry.level_db:.0f} dB")
    elif entry.kind == "output" and entry.volume is not None:
        words.append(f"volume {entry.volume:.0%}")
    return "  ".join([*words, *([entry.problem] if entry.problem else [])]).rstrip()


def _entries(kind: Kind, settings: Settings, listen: bool) -> Iterator[DeviceEntry]:
    """Yield the sound server's devices, then PortAudio's without its aliases of the server."""
    from audio.devices.portaudio import look_again
    from audio.devices.selection import ALIASES, Device, devices, find_device, way_to_server
    from audio.devices.sound_server import server_devices

    if not devices(kind):
        look_again()
    known = devices(kind)
    wanted = settings.audio.input if kind == "input" else settings.audio.output
    chosen = Device(None, "none")
    if wanted is not None and known:
        with contextlib.suppress(ConfigError):
            chosen = find_device(kind, wanted)
    of_server = server_devices(kind) if way_to_server(known) else []
    for found in of_server:
        is_chosen = chosen.server_name == found.name or (wanted is None and found.default)
        level, problem = _listen(kind, found.name, listen)
        yield DeviceEntry(
            kind, found.description, found.name, "server", found.default, is_chosen, found.muted,
            found.volume, level, problem,
        )  # fmt: skip
    for device in known:
        if of_server and device.name in ALIASES:
            continue
        is_chosen = not chosen.server_name and chosen.number == device.number
        by_default = not of_server and device.name == "default"
        # Hardware that a sound server uses must not be opened beside it.
        level, problem = _listen(kind, str(device.number), listen and not of_server)
        yield DeviceEntry(
            kind, device.name, str(device.number), "portaudio", by_default,
            is_chosen or (wanted is None and by_default), level_db=level, problem=problem,
        )  # fmt: skip


def _listen(kind: Kind, name: str, listen: bool) -> tuple[float | None, str]:
    """Measure the level of a microphone; else say why it has none."""
    if kind == "output" or not listen:
        return None, ""
    from audio.input.microphone import Microphone
    from audio.pcm import SAMPLE_RATE, level_db

    pcm, empty = b"", 0
    try:
        with Microphone(name).open() as chunks:
            for chunk in chunks:
                pcm += chunk.pcm
                empty += not chunk.pcm
                waited = empty * EMPTY_CHUNK_SECONDS
                if len(pcm) >= LISTEN_SECONDS * 2 * SAMPLE_RATE or waited > LISTEN_TIMEOUT_SECONDS:
                    break
    except AfterwordError as error:
        return None, str(error)
    return round(level_db(pcm), 1), ""
