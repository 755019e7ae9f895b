"""Checks of the environment: Python, packages, folders, the service."""

import os
import platform
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from config import paths
from config.errors import AfterwordError, NotRunningError, UnitError
from config.installation import install_again_command
from config.settings import Settings
from daemon.doctor.finding import Finding, fault

OLDEST_PYTHON = (3, 11)
_OTHER_HOME = "set HOME, or the variable of this folder (XDG_…), to a folder of yours"


def python(_: Settings) -> Finding:
    """Check the interpreter, and that all required packages are installed."""
    name = "Python"
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Finding(name, "fault", f"{version} is too old", f"install Python {wanted} or newer")
    required = _required_packages()
    if missing := [package for package in required if not _is_installed(package)]:
        remedy = f"install Afterword again: `{install_again_command()}`"
        return Finding(name, "fault", f"packages are missing: {', '.join(missing)}", remedy)
    return Finding(name, "ok", f"{version}, all {len(required)} packages are there")


def _required_packages() -> list[str]:
    """Names of the packages that Afterword requires on this system, without its extras."""
    try:
        requirements = metadata.requires("afterword") or []
    except metadata.PackageNotFoundError:  # run from its folder, never installed
        return []
    needed = [line for line in requirements if "extra ==" not in line]
    if sys.platform != "linux":
        needed = [line for line in needed if "sys_platform" not in line]
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]


def _is_installed(package: str) -> bool:
    try:
        return bool(metadata.version(package))
    except metadata.PackageNotFoundError:
        return False


def folders(_: Settings) -> Finding:
    """Check that the daemon's folders exist or can be made, and are private and writable."""
    name = "folders"
    places: tuple[Callable[[], Path], ...] = (
        lambda: paths.config_file().parent,
        paths.data_folder,
        paths.cache_folder,
        paths.state_folder,
        paths.runtime_folder,
    )
    for folder in (place() for place in places):
        # Not Path.exists, which raises if a folder above may not be searched.
        existing = next(p for p in (folder, *folder.parents) if os.path.exists(p))  # noqa: PTH110
        if not existing.is_dir():
            return Finding(name, "fault", f"{existing} is no folder", "move it away")
        if folder != paths.config_file().parent and not os.access(existing, os.W_OK | os.X_OK):
            home = os.environ.get("HOME", "")
            mine = home.strip("/") and existing.is_relative_to(home)
            remedy = f"make it yours: `sudo chown -R $USER {existing}`" if mine else _OTHER_HOME
            return Finding(name, "fault", f"{existing} cannot be written to", remedy)
    runtime = paths.runtime_folder()
    if runtime.exists() and runtime.stat().st_mode & 0o077:
        remedy = f"`chmod 700 {runtime}`; the daemon does so, too, when it starts"
        return Finding(name, "warning", f"{runtime} is open to other users", remedy)
    return Finding(name, "ok", f"settings {paths.config_file()}, data {paths.data_folder()}")


def service(_: Settings) -> Finding:
    """Check whether a daemon runs, and whether it is installed as a service."""
    from daemon.control import client

    try:
        state = client.status()["state"]
    except NotRunningError:
        state = None
    except AfterwordError as error:
        return fault("service", error)
    return _installed(state)


def _installed(state: str | None) -> Finding:
    from daemon.systemd import unit

    name, names = "service", unit.installed()
    lines: list[str] = []
    try:
        if names:
            unit.status(lines.append)
    except (NotRunningError, UnitError) as error:
        return fault(name, error)
    if unit.NAME in names:
        return Finding(name, "ok", f"installed, {lines[0]}")
    seen = "no daemon runs" if state is None else f"a daemon runs ({state}), started by hand"
    remedy = "`afterword service install` starts it at every login"
    return Finding(name, "ok", "; ".join([seen, *lines[:1]]), remedy)
