"""The service of the user's session: its unit, and what systemd does with it."""

import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from config import paths
from config.errors import NotRunningError, UnitError

NAME = "afterword.service"
WYOMING = "afterword-wyoming.service"
"""Listens on a port, so it is there only for those who ask for it."""
START_SECONDS = 180  # systemd itself gives up after 120
Tell = Callable[[str], object]


def unit_file(name: str = NAME) -> Path:
    """Where the user's own units lie."""
    return paths.config_file().parents[1] / "systemd" / "user" / name


def install(tell: Tell, name: str = NAME) -> None:
    """Write a unit, enable and start it, and wait until it is ready.

    Raises:
        UnitError: systemd cannot be reached, or the service does not come up.
    """
    _systemctl("show-environment")  # better told before anything is written
    text = render(_program(), _own_folders(), name)
    try:
        for folder in _own_folders():  # what is missing at the start cannot be written later
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unit_file(name).parent.mkdir(parents=True, exist_ok=True)
        unit_file(name).write_text(text, "utf-8")
    except OSError as error:
        raise UnitError(f"{error.filename} cannot be written: {error.strerror}.") from error
    tell(f"Wrote {unit_file(name)}.")
    _systemctl("daemon-reload")
    _systemctl("reset-failed", name, check=False)
    _systemctl("enable", name)
    _systemctl("restart", name)  # waits until it is ready
    tell(f"It runs: {(_shown('StatusText', name) or 'ready').rstrip('.')}.")
    if not _lingers():
        tell(
            "It ends when you log out; `loginctl enable-linger` lets it start with the machine "
            "and run always."
        )


def uninstall(tell: Tell) -> None:
    """Stop the services, remove their units and what they left; the user's own files stay.

    Raises:
        UnitError: systemd cannot be reached.
    """
    _systemctl("show-environment")
    for name in (NAME, WYOMING):
        _systemctl("disable", "--now", name, check=False)  # it may have been removed by half
        unit_file(name).unlink(missing_ok=True)
    _systemctl("daemon-reload")
    for name in (NAME, WYOMING):
        _systemctl("reset-failed", name, check=False)
    for left in ("control.sock", "control.lock"):
        (paths.runtime_folder() / left).unlink(missing_ok=True)
    for folder in (paths.runtime_folder(), *_own_folders()):
        with contextlib.suppress(OSError):  # there are files in it, which are the user's
            folder.rmdir()
    tell("The service is removed. Your settings, weights and models stay where they are.")


def status(tell: Tell) -> None:
    """Tell how the service is.

    Raises:
        NotRunningError: it is not installed, or does not run.
        UnitError: systemd cannot be reached.
    """
    _systemctl("show-environment")
    if not unit_file().exists():
        raise NotRunningError("There is no service yet; `afterword service install` makes one.")
    state = _shown("ActiveState")
    if state != "active":
        raise NotRunningError(
            f"The service is {state} ({_shown('Result')}); see `journalctl --user -u afterword`."
        )
    tell(f"{_shown('StatusText') or 'running'} (process {_shown('MainPID')})")
    tell(f"unit {unit_file()}, {_shown('UnitFileState')}, restarts {_shown('NRestarts')}")
    if unit_file(WYOMING).exists():
        tell(f"{WYOMING}: {_shown('ActiveState', WYOMING)}")


def render(program: Path, folders: list[Path], name: str = NAME) -> str:
    """A unit's text for a program and the folders it may write."""
    lines = []
    for line in _template(name).splitlines():
        key = line.partition("=")[0]
        if key in ("ExecStart", "ExecReload"):
            prefix = "+" if "=+" in line else ""
            command = _quoted(f"{prefix}{program}").replace("$", "$$")  # where $ means a variable
            line = f"{key}={command} {line.partition('/afterword ')[2]}"
        elif key == "ReadWritePaths":
            line = "ReadWritePaths=" + " ".join(_quoted(f"-{folder}") for folder in folders)
        lines.append(line)
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        if value := os.environ.get(variable):  # systemd may know nothing of what the shell sets
            setting = _quoted(f"{variable}={value}")
            lines.insert(lines.index("Type=notify") + 1, f"Environment={setting}")
    return "\n".join(lines) + "\n"


def _template(name: str) -> str:
    """A unit in `systemd/` of a checkout, or its copy in an installation."""
    checkout = Path(__file__).parents[2] / "systemd" / name
    copy = Path(sysconfig.get_path("data")) / "share" / "afterword" / name
    return (checkout if checkout.exists() else copy).read_text("utf-8")


def _program() -> Path:
    """The `afterword` of this very installation: a checkout's .venv or one of pipx.

    Raises:
        UnitError: there is none, or the sandbox would hide it.
    """
    program = Path(sys.prefix) / "bin" / "afterword"
    if not program.exists():
        raise UnitError(f"There is no {program}; install Afterword with pipx or scripts/setup.")
    if program.is_relative_to("/tmp") or program.is_relative_to("/var/tmp"):  # noqa: S108
        raise UnitError(f"{program} lies in a temporary folder, which services do not see.")
    return program


def _own_folders() -> list[Path]:
    return [paths.state_folder(), paths.data_folder(), paths.cache_folder()]


def _quoted(word: object) -> str:
    """A word as unit files want it; % means something there."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def _lingers() -> bool:
    command = ["loginctl", "show-user", str(os.getuid()), "--property=Linger", "--value"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip() == "yes"
    return False


def _shown(what: str, name: str = NAME) -> str:
    return _systemctl("show", name, f"--property={what}", "--value").strip()


def _systemctl(*arguments: str, check: bool = True) -> str:
    """What `systemctl --user` says.

    Raises:
        UnitError: it is missing, cannot reach the session's systemd or fails; never with
            `check` off.
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
