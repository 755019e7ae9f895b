"""The systemd user services: install, uninstall, status."""

import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from config import paths
from config.errors import NotRunningError, OutputError, RefusedError, UnitError
from config.installation import install_again_command
from daemon.control.lock import single_instance_lock
from daemon.control.protocol import socket_path, wyoming_socket_path

NAME = "afterword.service"
WYOMING = "afterword-wyoming.service"
"""Listens on a port, so it is installed on request only."""
START_SECONDS = 180  # systemd itself gives up after 120
Print = Callable[[str], object]


def unit_file(name: str = NAME) -> Path:
    """The path of a unit among the user's own."""
    return paths.config_file().parents[1] / "systemd" / "user" / name


def install(echo: Print, name: str = NAME) -> None:
    """Write a unit, enable and start it, and wait until it is ready.

    Raises:
        UnitError: systemd cannot be reached, or the service does not start.
    """
    _systemctl("show-environment")  # fails before anything is written
    text = render(_program(), _own_folders(), name)
    try:
        for folder in _own_folders():  # the sandbox binds them at the start
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unit_file(name).parent.mkdir(parents=True, exist_ok=True)
        unit_file(name).write_text(text, "utf-8")
    except OSError as error:
        raise UnitError(f"{error.filename} cannot be written: {error.strerror}.") from error
    echo(f"Wrote {unit_file(name)}.")
    _systemctl("daemon-reload")
    _systemctl("reset-failed", name, check=False)
    _systemctl("enable", name)
    _systemctl("restart", name)  # waits until it is ready
    echo(f"It runs: {(_property('StatusText', name) or 'ready').rstrip('.')}.")
    if not _is_lingering():
        echo(
            "It ends when you log out; `loginctl enable-linger` lets it start with the machine "
            "and run always."
        )


def uninstall(echo: Print) -> None:
    """Stop the services, remove their units and sockets; the user's own files stay.

    A daemon that was started by hand runs on, with its socket.

    Raises:
        UnitError: systemd cannot be reached.
    """
    _systemctl("show-environment")
    names = installed()
    for name in (NAME, WYOMING):
        _systemctl("disable", "--now", name, check=False)  # it may be removed already
        unit_file(name).unlink(missing_ok=True)
    _systemctl("daemon-reload")
    for name in (NAME, WYOMING):
        _systemctl("reset-failed", name, check=False)
    for path in (socket_path(), wyoming_socket_path()):
        with contextlib.suppress(RefusedError, OutputError), single_instance_lock(path):
            for file in (path, path.with_suffix(".lock")):
                file.unlink(missing_ok=True)
    for folder in (paths.runtime_folder(), *_own_folders()):
        with contextlib.suppress(OSError):  # the user has files in it
            folder.rmdir()
    removed = " and ".join(names)
    echo(
        f"Removed {removed}. Your settings, weights and models stay where they are."
        if names
        else "No service was installed."
    )


def installed() -> list[str]:
    """Names of the units that are among the user's own."""
    return [name for name in (NAME, WYOMING) if unit_file(name).exists()]


def status(echo: Print) -> None:
    """Print the state of each service that is installed.

    Raises:
        NotRunningError: no service is installed, or one is not active.
        UnitError: systemd cannot be reached.
    """
    _systemctl("show-environment")
    names = installed()
    if not names:
        raise NotRunningError("There is no service yet; `afterword service install` makes one.")
    states = {name: _property("ActiveState", name) for name in names}
    for name in (name for name in names if states[name] == "active"):
        text = _property("StatusText", name) or "running"
        before = "" if name == NAME else f"{name}: active, "
        echo(f"{before}{text} (process {_property('MainPID', name)})")
        enabled, restarts = _property("UnitFileState", name), _property("NRestarts", name)
        echo(f"unit {unit_file(name)}, {enabled}, restarts {restarts}")
    if faults := [_not_active(name, states[name]) for name in names if states[name] != "active"]:
        raise NotRunningError(" ".join(faults))


def _not_active(name: str, state: str) -> str:
    service = "The service" if name == NAME else "The Wyoming service"
    log = name.removesuffix(".service")
    reason = _property("Result", name)
    return f"{service} is {state} ({reason}); see `journalctl --user -u {log}`."


def render(program: Path, folders: list[Path], name: str = NAME) -> str:
    """The text of a unit, for a program and the folders that it may write."""
    lines = []
    for line in _template(name).splitlines():
        key = line.partition("=")[0]
        if key in ("ExecStart", "ExecReload"):  # in a command, $ begins a variable
            prefix = "+" if "=+" in line else ""
            command = _quoted(f"{prefix}{program}").replace("$", "$$")
            line = f"{key}={command} {line.partition('/afterword ')[2]}"
        elif key == "ReadWritePaths":
            line = "ReadWritePaths=" + " ".join(_quoted(f"-{folder}") for folder in folders)
        lines.append(line)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        if value := os.environ.get(variable):  # systemd does not see the shell's variables
            setting = _quoted(f"{variable}={value}")
            lines.insert(lines.index("Type=notify") + 1, f"Environment={setting}")
    return "\n".join(lines) + "\n"


def _template(name: str) -> str:
    """A unit of `systemd/` in a checkout, or its copy in an installation."""
    checkout = Path(__file__).parents[2] / "systemd" / name
    copy = Path(sysconfig.get_path("data")) / "share" / "afterword" / name
    return (checkout if checkout.exists() else copy).read_text("utf-8")


def _program() -> Path:
    """The program `afterword` of this installation: a checkout's .venv or one of pipx.

    Raises:
        UnitError: there is none, or the sandbox would hide it.
    """
    program = Path(sys.prefix) / "bin" / "afterword"
    if not program.exists():
        raise UnitError(
            f"There is no {program}; install Afterword again: `{install_again_command()}`."
        )
    if program.is_relative_to("/tmp") or program.is_relative_to("/var/tmp"):  # noqa: S108
        raise UnitError(f"{program} lies in a temporary folder, which services do not see.")
    return program


def _own_folders() -> list[Path]:
    return [paths.state_folder(), paths.data_folder(), paths.cache_folder()]


def _quoted(word: object) -> str:
    """A word quoted for a unit file, where % begins a specifier."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _is_lingering() -> bool:
    command = ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() == "yes"
    return False


def _property(key: str, name: str = NAME) -> str:
    return _systemctl("show", name, f"--property={key}", "--value").strip()


def _systemctl(*arguments: str, check: bool = True) -> str:
    """Run `systemctl --user` and return its output.

    Raises:
        UnitError: it is missing, or takes longer than `START_SECONDS`; with `check`, it fails.
    """
    command = ["systemctl", "--user", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    except FileNotFoundError as error:
        raise UnitError("There is no systemctl; start `afterword run` by other means.") from error
    except subprocess.TimeoutExpired as error:
        raise UnitError(f"`{' '.join(command)}` does not come to an end.") from error
    if check and done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UnitError(f"`{' '.join(command)}` failed: {reason.rstrip('.')}.")
    return done.stdout
