"""Each script prints what it is for on --help, and does nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.program import ROOT, SECONDS

SCRIPTS = sorted(file.name for file in (ROOT / "scripts").iterdir() if file.is_file())
# These set up the checkout or lock its packages; they have tests beside them.
OF_THE_SETUP = {"setup", "run", "test", "lock", "list-dependencies"}


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in OF_THE_SETUP])
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
    assert set(SCRIPTS) > OF_THE_SETUP | {"fetch-story-model", "make-docs"}


@pytest.mark.parametrize("name", ["fetch-story-model", "make-translations"])
def test_an_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / name), "--helo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: ")
    assert list(tmp_path.iterdir()) == []
