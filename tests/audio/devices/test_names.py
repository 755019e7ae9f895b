"""Names of devices in other encodings than UTF-8, from a configuration of ALSA."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import ROOT

DEFAULTS = Path("/usr/share/alsa/alsa.conf")
CONFIGURATION = b"""<%s>
pcm."Mikrof\xf6n" { type null }
pcm."\xc2\xb5\x81\x9b" { type null }
pcm."M\xc3\xb6we" { type null }
"""
# PortAudio lists the devices once, so this is a process of its own.
LIST = """
from audio.devices.selection import devices, find_device
print(*[device.name for device in devices("input")], sep="\\n")
print(find_device("input", "Mikrofön").name, find_device("output", "mikrof").name)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment variables with which ALSA offers the devices."""
    if not DEFAULTS.exists():
        pytest.skip(f"ALSA's configuration {DEFAULTS} is not installed")
    path = tmp_path / "asound.conf"
    path.write_bytes(CONFIGURATION % str(DEFAULTS).encode())
    return {**os.environ, "PYTHONPATH": str(ROOT), "ALSA_CONFIG_PATH": str(path)}


def test_a_name_that_is_not_utf_8_is_listed_and_found(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", LIST]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    names = done.stdout.splitlines()
    assert names[-1] == "Mikrofön Mikrofön"
    assert {"Mikrofön", "Möwe", "Âµ\N{REPLACEMENT CHARACTER}›"} <= set(names)


@pytest.mark.slow
def test_the_commands_live_with_it(environment: dict[str, str]) -> None:
    for command in ("devices", "doctor"):
        arguments = [sys.executable, "-m", "daemon", command, "--json", "--set", "audio.input=Möwe"]
        done = subprocess.run(arguments, capture_output=True, env=environment, timeout=60)
        assert b"Traceback" not in done.stderr
        assert "Mikrofön" in done.stdout.decode() or command == "doctor"
