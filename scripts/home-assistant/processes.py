"""Home Assistant in its tree, and `afterword wyoming` of this checkout, as processes."""

import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300.0  # until a program counts as failed, on a busy machine
STOP_SECONDS = 60.0
CONFIGURATION = """\
http:
  server_host: 127.0.0.1
  server_port: {port}
ffmpeg:
  ffmpeg_bin: /root/ffmpeg
input_boolean:
  lamp:
    name: Kitchen lamp
wyoming:
"""


class StartError(Exception):
    """A program has ended, or does not answer."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Program:
    """A program that serves a port; its standard output and error are added to a log."""

    command: list[str]
    port: int
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, and wait until it accepts connections.

        Raises:
            StartError: it does not.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise StartError(f"{self.log} says why {self.command[0]} has ended")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise StartError(f"{self.command[0]} does not listen; {self.log} may say why")

    def wait(self) -> None:
        """Wait until it has ended by itself.

        Raises:
            subprocess.TimeoutExpired: it has not.
        """
        if self._process:
            self._process.wait(STOP_SECONDS)
            self._process = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the end; it is killed if that takes too long."""
        process, self._process = self._process, None
        if process:
            process.send_signal(number)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def home_assistant(folder: Path, port: int) -> Program:
    """Home Assistant with a fresh configuration; systemd-nspawn takes its processes with it."""
    tree = folder / "forky"
    config = tree / "root" / "config"
    subprocess.run(["rm", "-rf", config], check=True)
    config.mkdir()
    (config / "configuration.yaml").write_text(CONFIGURATION.format(port=port), "utf-8")
    link = tree / "root" / "ffmpeg"
    link.unlink(missing_ok=True)
    packages = next(tree.glob("opt/hass/lib/python3*/site-packages"))
    binary = next(packages.glob("imageio_ffmpeg/binaries/ffmpeg-*"))  # Home Assistant encodes MP3
    link.symlink_to("/" / binary.relative_to(tree))
    options = ["--register=no", "--keep-unit", "--pipe", "--as-pid2"]
    hass = ["/opt/hass/bin/hass", "--config", "/root/config", "--skip-pip"]
    command = ["systemd-nspawn", "--quiet", f"--directory={tree}", *options, *hass]
    return Program(command, port, _new_log(folder / "home-assistant.log"))


def afterword(folder: Path, port: int) -> Program:
    """The Wyoming server of this checkout, with the settings of this user."""
    command = [sys.executable, "-m", "daemon", "wyoming", "--uri", f"tcp://127.0.0.1:{port}"]
    return Program(command, port, _new_log(folder / "afterword.log"))


def _new_log(file: Path) -> Path:
    file.write_bytes(b"")
    return file
