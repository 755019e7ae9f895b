"""Each script prints what it is for on --help; scripts/run knows whether there is a microphone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import ROOT, SECONDS
from tests.support.sound_server import SoundServer

SCRIPTS = sorted(file.name for file in (ROOT / "scripts").iterdir() if file.is_file())
PASSES_HELP_ON = "run"  # to `afterword run`, behind a set-up


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != PASSES_HELP_ON])
def test_help_is_printed_and_nothing_is_done(name: str, tmp_path: Path) -> None:
    script = ROOT / "scripts" / name
    python = "python" in script.read_text("utf-8").partition("\n")[0]
    before = {file: file.stat().st_mtime_ns for file in ROOT.rglob("docs/*")}
    done = subprocess.run(
        [*([sys.executable] if python else []), str(script), "--help"],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
    assert len(done.stdout.splitlines()) >= 2
    assert list(tmp_path.iterdir()) == []
    assert {file: file.stat().st_mtime_ns for file in ROOT.rglob("docs/*")} == before


def test_there_are_scripts() -> None:
    assert set(SCRIPTS) > {"setup", "run", "test", "fetch-story-model", "make-docs"}


@pytest.mark.parametrize("name", ["fetch-story-model", "make-translations"])
def test_an_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / name), "--helo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: ")
    assert list(tmp_path.iterdir()) == []


def test_try_home_assistant_names_what_is_missing(tmp_path: Path) -> None:
    tools = tmp_path / "tools"  # a machine with nothing else
    tools.mkdir()
    for name in ("dirname", "id", "realpath"):
        (tools / name).symlink_to(str(shutil.which(name)))
    folder = tmp_path / "folder"
    done = subprocess.run(
        ["/bin/bash", str(ROOT / "scripts/try-home-assistant"), str(folder)],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    missing = "apt install debootstrap" if os.getuid() == 0 else "as root"
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("try-home-assistant: ")
    assert missing in done.stderr
    assert not folder.exists()


def looked_for_microphone(**environment: str) -> subprocess.CompletedProcess[str]:
    """What scripts/run does to decide whether a recording is played instead."""
    found = re.search(r"^probe='\n(.*?)^'$", (ROOT / "scripts/run").read_text("utf-8"), re.S | re.M)
    assert found is not None
    return subprocess.run(
        [sys.executable, "-c", found[1]],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def test_run_finds_the_microphone(sound_server: SoundServer) -> None:
    done = looked_for_microphone()
    assert (done.returncode, done.stderr) == (0, "")


def test_run_says_in_a_sentence_that_there_is_no_microphone(tmp_path: Path) -> None:
    done = looked_for_microphone(PULSE_SERVER=f"unix:{tmp_path}/none")
    if done.returncode == 0:
        pytest.skip("this machine has a sound card")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("afterword: ")
    assert "Traceback" not in done.stderr


def test_run_fetches_the_large_weights_where_it_is_asked_to(tmp_path: Path) -> None:
    """With stand-ins for the set-up and for `afterword`, which prints its arguments."""
    for name in ("scripts", ".venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "scripts/run").write_text((ROOT / "scripts/run").read_text("utf-8"))
    for name, program in {
        "scripts/setup": "true",
        ".venv/bin/python": "true",
        ".venv/bin/afterword": 'echo "$*" | tee -a said',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(0o755)
    for arguments, said in {
        (): ["run"],
        ("--large", "--language", "en"): [
            "weights fetch large",
            "run --language en",
        ],
    }.items():
        (tmp_path / "said").unlink(missing_ok=True)
        command = ["bash", "scripts/run", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert (tmp_path / "said").read_text().splitlines() == said
        assert done.stdout.splitlines() == said[-1:]
