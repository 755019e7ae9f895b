"""`afterword devices`: microphones and loudspeakers, how loud they are, and how to choose one."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import click

from audio.devices.sound_server import Kind
from config.errors import AfterwordError, ConfigError
from config.settings import Settings
from daemon.doctor.sound import bar

LISTEN_SECONDS = 0.5
PATIENCE_SECONDS = 3.0  # for a microphone that takes its time to begin
TITLES: dict[Kind, str] = {"input": "Microphones", "output": "Loudspeakers"}


@dataclass(frozen=True)
class Entry:
    """One device.

    Attributes:
        name: how people know it; `choose` is what audio.input or audio.output may say.
        through: "server" or "portaudio", which has it.
        level_db: of a microphone, mean of half a second, dB of full scale; None if not measured.
        volume: 0 to 1, or more, in the server's mixer; None where there is none.
        problem: why a microphone cannot be heard.
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


def tell(settings: Settings, *, as_json: bool, listen: bool) -> None:
    """Print the list; `listen` opens each microphone for half a second.

    Raises:
        AudioDeviceError: PortAudio is missing or does not start.
    """
    entries = [*_entries("input", settings, listen), *_entries("output", settings, listen)]
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], ensure_ascii=False))
        return
    widths = [max(map(len, column), default=0) for column in _columns(entries)]
    for kind, title in TITLES.items():
        click.echo(title)
        found = [entry for entry in entries if entry.kind == kind]
        for entry in found:
            click.echo(f"{'→' if entry.chosen else ' '} {_in_words(entry, widths)}")
        if not found:
            click.echo("  none; connect one, or start the sound server of your session")
        wanted = settings.audio.input if kind == "input" else settings.audio.output
        if wanted is not None and not any(entry.chosen for entry in found):
            click.echo(f"  audio.{kind}: {wanted!r} is none of them, or more than one")


def _columns(entries: Sequence[Entry]) -> tuple[list[str], list[str]]:
    return [entry.name for entry in entries], [entry.choose for entry in entries]


def _in_words(entry: Entry, widths: Sequence[int]) -> str:
    words = [f"{entry.name:<{widths[0]}}", f"{entry.choose:<{widths[1]}}"]
    words += ["default"] * entry.default + ["muted"] * entry.muted
    if entry.level_db is not None:
        words.append(f"{bar(entry.level_db)} {entry.level_db:.0f} dB")
    elif entry.kind == "output" and entry.volume is not None:
        words.append(f"volume {entry.volume:.0%}")
    return "  ".join([*words, *([entry.problem] if entry.problem else [])]).rstrip()


def _entries(kind: Kind, settings: Settings, listen: bool) -> Iterator[Entry]:
    """The server's devices, then those PortAudio sees beside the way to the server."""
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
        yield Entry(
            kind, found.description, found.name, "server", found.default, is_chosen, found.muted,
            found.volume, level, problem,
        )  # fmt: skip
    for device in known:
        if of_server and device.name in ALIASES:
            continue
        is_chosen = not chosen.server_name and chosen.number == device.number
        by_default = not of_server and device.name == "default"
        # Hardware that a server holds is not ours to open.
        level, problem = _listen(kind, str(device.number), listen and not of_server)
        yield Entry(
            kind, device.name, str(device.number), "portaudio", by_default,
            is_chosen or (wanted is None and by_default), level_db=level, problem=problem,
        )  # fmt: skip


def _listen(kind: Kind, name: str, listen: bool) -> tuple[float | None, str]:
    """The level of a microphone, or why it has none."""
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
                if len(pcm) >= LISTEN_SECONDS * 2 * SAMPLE_RATE or empty * 0.24 > PATIENCE_SECONDS:
                    break
    except AfterwordError as error:
        return None, str(error)
    return round(level_db(pcm), 1), ""
