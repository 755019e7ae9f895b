"""The commands that add packages or install Afterword again fit where the program runs."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from config import installation
from config.installation import add_extra_command, install_again_command
from tests.support.program import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def test_in_a_checkout_its_own_pip_takes_the_tested_versions() -> None:
    words = shlex.split(add_extra_command("wyoming"))
    pip = [sys.executable, "-m", "pip", "install"]
    assert words == [*pip, "--constraint", str(ROOT / "constraints.txt"), *EXTRAS["wyoming"]]
    assert install_again_command() == str(ROOT / "scripts" / "setup")
    assert (ROOT / "scripts" / "setup").is_file()


def test_the_command_of_a_checkout_works() -> None:
    command = add_extra_command("wyoming").replace("pip install", "pip install --dry-run", 1)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Would install" not in done.stdout  # the tests' environment has it


@pytest.fixture
def pipx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of pipx that is called afterword-next."""
    environment = tmp_path / "venvs" / "afterword-next"
    environment.mkdir(parents=True)
    (environment / "pipx_metadata.json").write_text("{}")
    monkeypatch.setattr(sys, "prefix", str(environment))


@pytest.mark.usefixtures("pipx")
def test_in_an_environment_of_pipx_it_adds_them() -> None:
    assert shlex.split(add_extra_command("train")) == [
        *("pipx", "inject", "afterword-next", *EXTRAS["train"])
    ]
    assert install_again_command() == "pipx reinstall afterword-next"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Site-packages into which a wheel was installed from the folder `my checkout`."""
    monkeypatch.setattr(installation, "ROOT", tmp_path)
    about = tmp_path / "afterword-0.1.0.dist-info"
    about.mkdir()
    lines = [
        f"Requires-Dist: {requirement}; extra == '{extra}'"
        for extra, requirements in EXTRAS.items()
        for requirement in requirements
    ]
    (about / "METADATA").write_text("\n".join(["Name: afterword", "Version: 0.1.0", *lines]))
    url = "file:///home/a/my%20checkout"
    (about / "direct_url.json").write_text(f'{{"dir_info": {{}}, "url": "{url}"}}')
    monkeypatch.syspath_prepend(tmp_path)
    return about


def test_elsewhere_the_packages_are_those_of_the_installed_version(installed: Path) -> None:
    for extra in ("train", "tui", "wyoming", "bench", "tensorboard"):
        words = shlex.split(add_extra_command(extra))
        assert words == [sys.executable, "-m", "pip", "install", *EXTRAS[extra]]
    pip = [sys.executable, "-m", "pip", "install"]
    assert shlex.split(install_again_command()) == [*pip, "/home/a/my checkout"]


def test_without_a_known_source_it_is_the_present_folder(installed: Path) -> None:
    (installed / "direct_url.json").unlink()
    assert install_again_command().endswith(" pip install .")


def test_an_environment_without_pip_is_one_of_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "find_spec", lambda _: None)
    assert add_extra_command("tui").startswith(f"uv pip install --python {sys.executable} ")


def test_no_command_takes_afterword_from_an_index(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for extra in EXTRAS:
        if extra != "test":
            assert not re.search(r"install.*\bafterword\b(?!-)", add_extra_command(extra))
