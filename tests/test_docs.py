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


def test_the_extras_in_the_documents_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    text = text.partition("\n## Extras\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\w, -]+) \|$", text, re.M))
    wanted = {
        extra: ", ".join(re.split(r"[^\w.-]", line)[0] for line in lines)
        for extra, lines in project["optional-dependencies"].items()
        if extra not in ("corpus", "test")  # for those who develop
    }
    assert rows == wanted


# `afterword` is not on PyPI: a command that takes it from there could install a stranger's program.
FROM_AN_INDEX = re.compile(
    r"""afterword\[|\b(?:pip3?|pipx|uv|uvx)\b[^\n`;|&]*?\b(?:install|run|add)\b
        (?:\ +(?:-\S+|"[^"\n]*"))*\ +["']?afterword\b(?![/.])""",
    re.X,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('pip install "afterword[tui]"', True),
        ("pip install afterword", True),
        ("pipx install --force afterword", True),
        ("uv tool install afterword", True),
        ('pipx install ".[wyoming]"', False),
        ("pipx inject afterword wyoming", False),
        ("pipx reinstall afterword", False),
        ("pipx uninstall afterword", False),
        ("pip install . # puts afterword on your path", False),
    ],
)
def test_a_command_that_takes_afterword_from_an_index_is_found(text: str, found: bool) -> None:
    assert bool(FROM_AN_INDEX.search(text)) == found


def test_no_document_and_no_message_takes_afterword_from_an_index() -> None:
    folders = ("audio", "config", "daemon", "model", "docs", "scripts", "systemd")
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if f.is_file()]
    texts = [f for f in files if f.suffix in ("", ".py", ".md", ".1", ".po", ".service", ".yaml")]
    assert len(texts) > 200
    for file in (*texts, *documents(), ROOT / ".ci" / "run"):
        match = FROM_AN_INDEX.search(file.read_text("utf-8"))
        assert match is None, f"{file}: {match}"


def test_the_documents_name_the_commands_of_afterword_first() -> None:
    long = re.compile(r"python -m\s+model\.(train|explain|evaluate)\b")
    named = 0
    for file in (*documents(), *(ROOT / "model").rglob("*.md")):
        if file.name == "CHANGELOG.md":
            continue
        text = file.read_text("utf-8")
        for match in long.finditer(text):
            named += 1
            assert f"afterword {match[1]}" in text[: match.start()], f"{file.name}: {match[0]}"
    assert named  # it stays documented
