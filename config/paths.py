"""Folders of the user's files: the XDG base directories, read at each call.

https://specifications.freedesktop.org/basedir-spec/latest/
"""

import contextlib
import os
from pathlib import Path

from config.errors import ConfigError

APP = "afterword"


def _base(variable: str, *default: str) -> Path:
    """The folder in `variable`, or the default; the specification excludes relative paths."""
    value = os.environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    try:
        return Path.home().joinpath(*default)
    except RuntimeError:  # no HOME, and no entry for this user id
        raise ConfigError(f"There is no home folder; set HOME or {variable}.") from None


def config_file() -> Path:
    """The user's settings file, `$XDG_CONFIG_HOME/afterword/config.yaml`."""
    return _base("XDG_CONFIG_HOME", ".config") / APP / "config.yaml"


def data_folder() -> Path:
    """The folder of Vosk models, voices and the user's weights, `$XDG_DATA_HOME/afterword`."""
    return _base("XDG_DATA_HOME", ".local", "share") / APP


def cache_folder() -> Path:
    """The folder of what can be recreated, such as token files: `$XDG_CACHE_HOME/afterword`."""
    return _base("XDG_CACHE_HOME", ".cache") / APP


def state_folder() -> Path:
    """The folder of what outlasts a restart, such as the mute: `$XDG_STATE_HOME/afterword`."""
    return _base("XDG_STATE_HOME", ".local", "state") / APP


def runtime_folder() -> Path:
    """The folder of the control socket, `$XDG_RUNTIME_DIR/afterword`.

    Where the variable is missing (cron, `su`), it is the session's folder if there is one, so that
    all processes find the same socket; else a folder in the cache.
    """
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if named.startswith("/"):
        return Path(named) / APP
    session = Path(f"/run/user/{os.getuid()}")
    return session / APP if os.access(session, os.W_OK) else cache_folder() / "run"


def leave_missing_folder() -> None:
    """Work in /proc if the working directory has been removed, in which much code cannot work.

    MKL, for one, then ends the process. As in the removed folder, no file can be made in /proc.
    """
    try:
        Path.cwd()
    except OSError:
        with contextlib.suppress(OSError):
            os.chdir("/proc")
