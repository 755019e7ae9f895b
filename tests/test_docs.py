"""The references and the man page match the code, and links between documents resolve."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from config.load import known_keys
from daemon.cli.main import cli
from tests.support.program import ROOT

MAN_PAGE = "docs/afterword.1"


def test_the_references_are_up_to_date() -> None:
    command = [sys.executable, "scripts/make-docs", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)


def test_every_setting_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    found = re.findall(r"^\| `([\w.]+)` \|(.*)\|(.*)\|(.*)\|$", text, re.M)
    assert [key for key, *_ in found] == known_keys()
    assert all(cell.strip() for row in found for cell in row), "a key without words or default"


def paths(command: click.Command, prefix: str) -> list[str]:
    inner = command.commands if isinstance(command, click.Group) else {}
    return [prefix, *(p for name, sub in inner.items() for p in paths(sub, f"{prefix} {name}"))]


@pytest.mark.parametrize("file", ["docs/commands.md", MAN_PAGE])
def test_every_command_is_in_the_reference(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    wanted = [path for path in paths(cli, "afterword") if path != "afterword"]
    assert len(wanted) > 15
    for path in wanted:
        assert re.search(rf"^(### `|\.B ){re.escape(path)}\b", text, re.M), path


def test_the_man_page_renders_without_a_warning() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", MAN_PAGE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "afterword - carries on aloud" in done.stdout
    assert 'afterword say "Once upon a time there was a fox"' in done.stdout


def test_the_wheel_holds_the_man_page() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert data[MAN_PAGE] == "share/man/man1/afterword.1"


def documents() -> list[Path]:
    """Every document in the repository's root, docs/ and docs/lab/."""
    return sorted(
        file for folder in (".", "docs", "docs/lab") for file in (ROOT / folder).glob("*.md")
    )


def test_links_between_the_documents_resolve() -> None:
    for file in documents():
        text = file.read_text("utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
            assert (file.parent / target).exists(), f"{file.name} links to {target}"
