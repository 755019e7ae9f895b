"""A real systemd with a user's session, in a temporary container.

Its root is an overlay over that of this machine; changes go to memory and never reach the machine.
The user has a sound server with the virtual devices of tests/support/sound_server.py.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.program import ROOT

PROGRAMS = ("systemd-nspawn", "nsenter", "runuser", "loginctl", "pulseaudio", "pactl", "paplay")
USER = "tester"
_OTHER_SERVERS = ("pipewire-pulse.socket", "pipewire-pulse.service", "pipewire.socket")
BOOT_SECONDS = 40.0

_SOUND = """\
load-module module-native-protocol-unix
load-module module-null-sink sink_name=speaker rate=48000 channels=2 norewinds=1
load-module module-null-sink sink_name=mic_in rate=48000 channels=1 norewinds=1
load-module module-remap-source source_name=mic master=mic_in.monitor
set-default-sink speaker
set-default-source mic
"""


class UnavailableError(Exception):
    """The container cannot run on this machine; the message says why."""


def missing(*needed: Path) -> str:
    """The reason why no container can run here, without trying; empty if there is none.

    `needed`: folders that the service reads.
    """
    if os.geteuid() != 0:
        return "only root can boot a container"
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(lacking)} (scripts/setup --test)"
    if not Path("/usr/lib/systemd/user/dbus.socket").exists():
        return "not installed: dbus-user-session (scripts/setup --test)"
    for folder in (ROOT, *needed):
        if folder.is_relative_to("/tmp"):  # noqa: S108
            return f"{folder} lies in /tmp, which containers and services do not see"
    return ""


class UserManager:
    """The container: call `boot`, and `close` in every case."""

    def __init__(self, readable: Sequence[Path]) -> None:
        """`readable`: folders that the user in the container reads, beside those of Python."""
        self._folder = Path(tempfile.mkdtemp(prefix="container-", dir="/var/tmp"))
        self._root = self._folder / "m"
        self._readable = [ROOT, Path(sys.base_prefix), Path(sys.prefix), *readable]
        self._machine: subprocess.Popen[bytes] | None = None
        self._leader = ""
        self._user_number = ""

    def boot(self) -> None:
        """Start systemd, and in it the user's session.

        Raises:
            UnavailableError: this machine does not allow it.
        """
        self._mount()
        options = ["--register=no", "--keep-unit", "--private-network", "--console=pipe"]
        for path in self._readable:
            if path.stat().st_dev != Path("/").stat().st_dev:  # not part of the overlay
                options.append(f"--bind-ro={path}")
        with (self._folder / "boot.log").open("wb") as log:
            self._machine = subprocess.Popen(
                ["systemd-nspawn", "-q", "-D", str(self._root), *options, "-b"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_for("systemd", self._is_up)
        self.root("useradd", "-m", USER)
        self._user_number = self.root("id", "-u", USER).strip()
        self.root("loginctl", "enable-linger", USER)
        self._wait_for("the user's session", self._has_session)
        self.write(".config/pulse/default.pa", _SOUND)
        self.write(".config/pulse/daemon.conf", "exit-idle-time = -1\n")

    def close(self) -> None:
        """Stop the container and delete its files."""
        if self._machine:
            if self._leader:
                subprocess.run(["kill", "-KILL", self._leader])
            self._machine.terminate()
            try:
                self._machine.wait(10)
            except subprocess.TimeoutExpired:
                self._machine.kill()
                self._machine.wait()
        for mounted in (self._root, self._folder):
            subprocess.run(["umount", "-l", str(mounted)], capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def root(self, *command: str, check: bool = True, text: str | None = None) -> str:
        """Run a command in the container as root; returns its standard output."""
        inside = ["nsenter", "-t", self._leader, "-a", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=100, input=text)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in the container as the user."""
        run = f"/run/user/{self._user_number}"
        environment = [f"HOME=/home/{USER}", f"USER={USER}", "PATH=/usr/bin:/bin"]
        environment += [f"XDG_RUNTIME_DIR={run}", f"DBUS_SESSION_BUS_ADDRESS=unix:path={run}/bus"]
        as_user = ["runuser", "-u", USER, "--", "env", "-i", *environment]
        return ["nsenter", "-t", self._leader, "-a", *as_user, *command]

    def user(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container as the user."""
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=100)

    def systemctl(self, *arguments: str) -> str:
        """Run the user's systemctl, which must succeed; returns its output."""
        done = self.user("systemctl", "--user", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def write(self, name: str, content: str) -> None:
        """Write a file in the user's home."""
        path = f"/home/{USER}/{name}"
        self.root("runuser", "-u", USER, "--", "mkdir", "-p", str(Path(path).parent))
        self.root("runuser", "-u", USER, "--", "tee", path, text=content)

    def _mount(self) -> None:
        self._mount_one("-t", "tmpfs", "-o", "size=2g,mode=755", "tmpfs", str(self._folder))
        for name in "uwm":
            (self._folder / name).mkdir()
        layers = f"lowerdir=/,upperdir={self._folder}/u,workdir={self._folder}/w"
        self._mount_one("-t", "overlay", "overlay", "-o", layers, str(self._root))
        (self._root / "etc/machine-id").unlink(missing_ok=True)
        (self._root / "etc/machine-id").touch()
        for name in _OTHER_SERVERS:  # they would replace PulseAudio
            masked = self._root / "etc/systemd/user" / name
            masked.unlink(missing_ok=True)
            masked.symlink_to("/dev/null")
        for path in self._readable:  # only root may read a Python or a model below /root
            for parent in (path, *path.parents):
                self._open(self._root / parent.relative_to("/"))
        for path in self._readable[3:]:
            for part in (self._root / path.relative_to("/")).rglob("*"):
                self._open(part)

    def _mount_one(self, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise UnavailableError(f"no overlay can be mounted: {done.stderr.strip()}")

    def _open(self, path: Path) -> None:
        if not path.exists():
            return
        mode = path.stat().st_mode
        wanted = mode | (0o005 if path.is_dir() else 0o004)
        if mode != wanted:
            path.chmod(wanted)

    def _is_up(self) -> bool:
        assert self._machine
        found = subprocess.run(
            ["pgrep", "-P", str(self._machine.pid)], capture_output=True, text=True
        )
        self._leader = found.stdout.split()[0] if found.stdout else ""
        if not self._leader:
            return False
        state = self.root("systemctl", "is-system-running", check=False).strip()
        return state in ("running", "degraded")

    def _has_session(self) -> bool:
        return self.user("systemctl", "--user", "is-system-running").stdout.strip() == "running"

    def _wait_for(self, what: str, is_there: Callable[[], bool]) -> None:
        assert self._machine
        deadline = time.monotonic() + BOOT_SECONDS
        while not is_there():
            if self._machine.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "boot.log").read_text(errors="replace").strip()
                raise UnavailableError(f"{what} does not come up in a container: {log[-300:]}")
            time.sleep(0.1)
