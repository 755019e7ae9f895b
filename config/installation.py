"""Commands that mend this installation of Afterword: they add packages, or install all of it again.

PyPI has no `afterword`, so no command names it there; a stranger could register it. What works
depends on where the program runs: in an environment of pipx, in a checkout's `.venv`, elsewhere.
"""

import json
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
"""A checkout, or the site-packages of an installation."""


def add_extra_command(extra: str) -> str:
    """The command that installs the packages of an extra, such as "wyoming", for the shell."""
    packages = _packages(extra)
    if name := _pipx_name():
        return shlex.join(["pipx", "inject", name, *packages])
    tested = ROOT / "constraints.txt"
    versions = ["--constraint", str(tested)] if _is_checkout() and tested.is_file() else []
    return shlex.join([*_pip_install(), *versions, *packages])


def install_again_command() -> str:
    """The command that installs Afterword again, with all that it requires, for the shell."""
    if name := _pipx_name():
        return shlex.join(["pipx", "reinstall", name])
    if _is_checkout():
        return shlex.join([str(ROOT / "scripts" / "setup")])
    return shlex.join([*_pip_install(), _source()])


def _pipx_name() -> str | None:
    """The name that pipx knows the environment by, if it is one of pipx."""
    environment = Path(sys.prefix)
    return environment.name if (environment / "pipx_metadata.json").is_file() else None


def _is_checkout() -> bool:
    return (ROOT / "pyproject.toml").is_file()


def _pip_install() -> list[str]:
    """Command that installs into this environment; those that uv has made hold no pip."""
    if find_spec("pip") is None:
        return ["uv", "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"]


def _source() -> str:
    """The place that Afterword was installed from: https://packaging.python.org/en/latest/specifications/direct-url/."""
    from importlib import metadata  # imports email

    try:
        text = metadata.distribution("afterword").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        text = None
    url = json.loads(text)["url"] if text else ""
    if url.startswith("file:"):
        return unquote(urlsplit(url).path)
    return url or "."


def _packages(extra: str) -> list[str]:
    """The requirements of an extra, such as "wyoming>=1.5"."""
    if _is_checkout():
        import tomllib

        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        found: list[str] = project["optional-dependencies"][extra]
        return found
    from importlib import metadata  # imports email

    lines = (line.partition(";") for line in metadata.requires("afterword") or ())
    return [name.strip() for name, _, when in lines if re.search(rf"extra == .{extra}.$", when)]
