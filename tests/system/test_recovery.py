"""The daemon recovers from every outage of its microphone and its loudspeaker.

AFTERWORD_RECOVERIES=20 runs 20 rounds instead of one of each kind; pytest -s prints the figures.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.audio.conftest import RECORDINGS
from tests.support.program import Running, started
from tests.support.sound_server import SoundServer

ROUNDS = int(os.environ.get("AFTERWORD_RECOVERIES", "0"))
MIC = ("module-remap-source", "source_name=mic", "master=mic_in.monitor")


@dataclass
class Resources:
    """Threads, open descriptors and resident memory of a process."""

    threads: int
    descriptors: int
    memory_mb: float

    @classmethod
    def of(cls, pid: int) -> "Resources":
        status = Path(f"/proc/{pid}/status").read_text()
        memory = re.search(r"VmRSS:\s+(\d+)", status)
        assert memory
        folders = (f"/proc/{pid}/task", f"/proc/{pid}/fd")
        threads, descriptors = (len(list(Path(folder).iterdir())) for folder in folders)
        return cls(threads, descriptors, int(memory[1]) / 1024)


def kill(server: SoundServer) -> Callable[[], None]:
    server.kill()
    return server.start


def unload(server: SoundServer) -> Callable[[], None]:
    modules = [line.split() for line in server.pactl("list", "short", "modules").splitlines()]
    number = next(fields[0] for fields in modules if MIC[0] in fields[1:2])
    server.pactl("unload-module", number)
    return lambda: (server.pactl("load-module", *MIC), None)[1]


def suspend(server: SoundServer) -> Callable[[], None]:
    server.pactl("suspend-source", "mic", "1")
    return lambda: (server.pactl("suspend-source", "mic", "0"), None)[1]


# PipeWire does not suspend a microphone that is in use.
OUTAGES = {"sound_server": (kill, unload, suspend), "pipewire_server": (kill, unload)}


@pytest.fixture(params=["sound_server", "pipewire_server"])
def server(request: pytest.FixtureRequest) -> SoundServer:
    """PulseAudio, then PipeWire."""
    found: SoundServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def daemon(server: SoundServer, vosk_en: Path) -> Iterator[Running]:
    options = [f"hearing.model={vosk_en}", "model.max_sentences=1", "model.max_new_tokens=12"]
    flags = [word for option in options for word in ("--set", option)]
    with started("run", "--wait-for-microphone", *flags) as running:
        running.wait_for("Listening. Say")
        yield running


def exchange(server: SoundServer, daemon: Running) -> None:
    """Play a trigger and a seed; a cue and a reply must sound."""
    with server.recording() as loudspeaker:
        began = time.monotonic()
        with server.playing_into_microphone(RECORDINGS / "pause.wav"):
            daemon.wait_for("trigger heard")
            time.sleep(0.5)
            assert len(loudspeaker.sounding(began)) > 0, f"no cue: {daemon.log}"
            cue = time.monotonic()
            daemon.wait_for("seed of")
        deadline = time.monotonic() + 60
        while len(loudspeaker.sounding(cue)) < 1000:
            assert time.monotonic() < deadline, f"nothing was spoken: {daemon.log}"
            time.sleep(0.1)


def test_it_listens_again_after_every_outage(
    request: pytest.FixtureRequest, server: SoundServer, daemon: Running
) -> None:
    exchange(server, daemon)
    outages = OUTAGES[request.node.callspec.params["server"]]
    held = []
    for number in range(max(ROUNDS, len(outages))):
        outage = outages[number % len(outages)]
        mend = outage(server)
        daemon.wait_for("Waiting for it.")
        time.sleep(number % 4)  # at various points of the back-off
        mend()
        began = time.monotonic()
        daemon.wait_for("The microphone is there")
        took = time.monotonic() - began
        exchange(server, daemon)
        time.sleep(1)
        held.append(Resources.of(daemon.process.pid))
        print(f"{outage.__name__}: listening after {took:.2f} s; {held[-1]}", flush=True)
    assert daemon.log.count("Waiting for it.") == len(held)
    assert "Expression" not in daemon.log  # messages of PortAudio
    assert "ALSA" not in daemon.log
    # Each poll of the sound server takes a thread and four descriptors for a moment.
    assert min(each.threads for each in held[1:]) <= held[0].threads
    assert min(each.descriptors for each in held[1:]) <= held[0].descriptors
    assert held[-1].memory_mb < held[0].memory_mb + 20


def test_a_microphone_connected_after_the_start_is_used(
    sound_server: SoundServer, vosk_en: Path
) -> None:
    sound_server.kill()
    with started("run", "--wait-for-microphone", "--set", f"hearing.model={vosk_en}") as running:
        running.wait_for("Waiting for it.")
        sound_server.start()
        running.wait_for("Listening. Say")
        sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
        running.wait_for("trigger heard")
