"""A sound interface of two channels that knows one rate only: JACK's, behind a device of ALSA.

The tone is at the second channel alone. It takes jackd and jack_metro (Debian: jackd2).
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.audio.tones import RATE, TONE_HZ, pitch
from tests.support.program import ROOT

PROGRAMS = ("jackd", "jack_metro", "jack_lsp")
# 0.9 of every second.
METRO = f"jack_metro --bpm 60 --frequency {TONE_HZ:.0f} --duration 900 --amplitude 0.5 --attack 0"
ALSA = """
</usr/share/alsa/alsa.conf>
pcm.interface {
  type jack
  capture_ports { 0 "system:capture_1" 1 "metro:60_bpm" }
  playback_ports { 0 "system:playback_1" 1 "system:playback_2" }
}
"""
# PortAudio lists the devices once, so this is a process of its own.
LISTEN = """
import sys
from audio.input.microphone import Microphone
sound = b""
with Microphone("interface").open() as chunks:
    for chunk in chunks:
        sound += chunk.pcm
        if len(sound) > 2 * 16_000 * 3:
            break
sys.stdout.buffer.write(sound)
"""


@pytest.fixture(params=[44_100, 48_000])
def interface(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment variables with which ALSA offers it."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"no virtual sound interface: {', '.join(missing)} not installed")
    server = f"jackd --no-realtime --no-mlock -d dummy -r {request.param} -p 1024".split()
    with (tmp_path / "log").open("w") as log:
        processes = [subprocess.Popen(server, stdout=log, stderr=log)]
        try:
            await_port("system:capture_1")
            processes.append(subprocess.Popen(METRO.split(), stdout=log, stderr=log))
            await_port("metro:60_bpm")
            config = tmp_path / "asound.conf"
            config.write_text(ALSA)
            yield {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ALSA_CONFIG_PATH": str(config),
                "PULSE_SERVER": "unix:/nowhere",
            }
        finally:
            for process in reversed(processes):
                process.kill()
                process.wait()


def await_port(name: str) -> None:
    for _ in range(100):
        done = subprocess.run(["jack_lsp"], capture_output=True, text=True)
        if name in done.stdout.split():
            return
        time.sleep(0.1)
    pytest.skip("JACK does not start here")


def test_its_sound_is_resampled_and_its_channels_are_mixed(interface: dict[str, str]) -> None:
    command = [sys.executable, "-c", LISTEN]
    done = subprocess.run(command, capture_output=True, env=interface, timeout=120)
    sound = np.frombuffer(done.stdout, "<i2")
    assert len(sound) >= 3 * RATE, (done.returncode, done.stderr)
    loudest = max(range(0, len(sound) - RATE // 2, 800), key=lambda at: loudness(sound[at:]))
    steady = sound[loudest : loudest + RATE // 2].astype(float)
    assert pitch(steady) == pytest.approx(TONE_HZ, abs=2)
    half = 8192 / 2**0.5  # the mean of two channels; the root mean square of a sine
    assert np.sqrt((steady**2).mean()) == pytest.approx(half, rel=0.15)


def loudness(sound: np.ndarray) -> float:
    return float(np.abs(sound[: RATE // 2].astype(float)).sum())
