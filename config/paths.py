"""Where the user's files lie: the XDG base directories, decided anew at each call.

https://specifications.freedesktop.org/basedir-spec/latest/
"""

import os
from pathlib import Path

from config.errors import ConfigError

APP = "afterword"


def _base(variable: str, *default: str) -> Path:
    """The folder named by `variable`; the specification tells us to ignore relative ones."""
    value = os.environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    try:
        return Path.home().joinpath(*default)
    except RuntimeError:  # no HOME, and nobody of that number in the list of users
        raise ConfigError(f"There is no home folder; set HOME or {variable}.") from None


def config_file() -> Path:
    """The user's configuration, `$XDG_CONFIG_HOME/afterword/config.yaml`."""
    return _base("XDG_CONFIG_HOME", ".config") / APP / "config.yaml"


def data_folder() -> Path:
    """Vosk models and the user's own weights, `$XDG_DATA_HOME/afterword`."""
    return _base("XDG_DATA_HOME", ".local", "share") / APP


def cache_folder() -> Path:
    """What can be made again: token files, downloads, `$XDG_CACHE_HOME/afterword`."""
    return _base("XDG_CACHE_HOME", ".cache") / APP


def state_folder() -> Path:
    """What must outlast a restart, such as being muted: `$XDG_STATE_HOME/afterword`."""
    return _base("XDG_STATE_HOME", ".local", "state") / APP


def runtime_folder() -> Path:
    """The control socket, `$XDG_RUNTIME_DIR/afterword`.

    Where the variable is missing (cron, `su`), the session's folder is taken all the same if there
    is one, so that all find the same socket; else a folder in the cache.
    """
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    if named.startswith("/"):
        return Path(named) / APP
    session = Path(f"/run/user/{os.getuid()}")
    return session / APP if os.access(session, os.W_OK) else cache_folder() / "run"
