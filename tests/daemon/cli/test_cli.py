"""The command line as people meet it: help, completion, colours."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from daemon.cli.help import LazyCommands, SectionedGroup, sections, summary
from daemon.cli.main import cli
from tests.support.program import ROOT, afterword


def test_the_help_shows_every_command_once_in_a_section() -> None:
    listed = [name for _, names in sections(cli) for name in names]
    assert sorted(listed) == sorted(cli.commands)
    text = afterword("--help").out
    for title, names in sections(cli):
        assert f"\n{title}:\n" in text
        for name in names:
            assert f"\n  {name}" in text
    assert "Examples:\n    afterword doctor" in text
    assert "..." not in text.split("Options:")[1]  # no sentence is cut short


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_a_sentence(command: str) -> None:
    first = (cli.commands[command].help or "").split("\n\n")[0]
    assert first.rstrip().endswith("."), first


@pytest.mark.parametrize("section", [title for title, _ in sections(cli)])
def test_the_summaries_are_the_first_sentences_of_the_commands(section: str) -> None:
    summaries = dict(sections(cli))[section]
    assert {name: summary(cli.commands[name]) for name in summaries} == summaries


def test_a_command_in_no_section_is_listed_last() -> None:
    group = SectionedGroup(commands=LazyCommands({"run": "daemon.cli.run"}))
    group.command("paint", help="Paint a word. And more.")(lambda: None)
    group.command("secret", hidden=True)(lambda: None)
    assert list(sections(group))[-1] == ("More", {"paint": "Paint a word"})


def test_a_mistyped_command_is_told_with_near_ones() -> None:
    done = afterword("modles")
    assert done.code == 2
    assert "No such command 'modles'" in done.err
    if hasattr(click.exceptions, "NoSuchCommand"):  # since click 8.4
        assert "models" in done.err


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `afterword` on the path, as an installation has it."""
    file = tmp_path / "bin" / "afterword"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m daemon "$@"\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(file.parent), prepend=os.pathsep)


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["do"], {"doctor"}),
        (["m"], {"models", "mute"}),
        (["--ver"], {"--version"}),
        (["models", "f"], {"fetch"}),
        (["voices", "f"], {"fetch"}),
        (["train", "--cor"], {"--corpus"}),
        (["explain", "--lang"], {"--language"}),
        (["evaluate", "--th"], {"--threads"}),
        (["service", ""], {"install", "status", "uninstall"}),
        (["doctor", "--js"], {"--json"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(words: list[str], wanted: set[str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = f"""
        eval "$(afterword completion bash)"
        COMP_WORDS=(afterword {" ".join(word or "''" for word in words)}) COMP_CWORD={len(words)}
        _afterword_completion afterword
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert set(done.stdout.split()) == wanted, done.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_a_script(shell: str) -> None:
    assert f"_AFTERWORD_COMPLETE={shell}_complete" in afterword("completion", shell).out


PAINT = """
import click
from daemon.cli.main import cli
cli.command("paint")(lambda: click.secho("word", fg="red"))
cli(["paint"])
"""


@pytest.mark.parametrize(
    ("terminal", "environment", "colours"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colours_are_for_terminals(
    terminal: bool, environment: dict[str, str], colours: bool
) -> None:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    around = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-c", PAINT],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        check=True,
        cwd=ROOT,
        env={**around, "TERM": "xterm", "PYTHONPATH": str(ROOT), **environment},
    )
    os.close(theirs)
    shown = os.read(ours, 1000)
    os.close(ours)
    assert b"word" in shown
    assert (b"\x1b[31m" in shown) is colours
