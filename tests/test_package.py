"""The wheel and the source distribution hold the files that Afterword needs, and no others."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import soundfile as sf

from tests.support.program import ROOT, SECONDS

pytestmark = pytest.mark.timeout(900)  # installs into a new environment
PACKAGES = ("audio", "config", "daemon", "model")
RECORDING = ROOT / "tests" / "recordings" / "one-breath.wav"


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**environment, **more},
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", out, cwd=source)
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution, made of the files in git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    copy = tmp_path_factory.mktemp("copy")
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(ROOT / name, copy / name)
    packed = build("sdist", copy, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("sources")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    (root,) = folder.iterdir()
    return root


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the source distribution."""
    return build("wheel", sources, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = set(run("git", "ls-files", *PACKAGES, cwd=ROOT).splitlines())
    wanted = {name for name in tracked if (ROOT / name).is_file()}
    assert {"config/default.yaml", "model/weights/zh.safetensors"} <= wanted
    assert "model/starter/en.txt.xz" in wanted
    assert {name for name in names if name.split("/")[0] in PACKAGES} == wanted
    others = {name.partition("/")[2] for name in names - wanted}
    shared = {"share/afterword/afterword.service", "share/afterword/afterword-wyoming.service"}
    shared |= {"share/man/man1/afterword.1"}
    assert {name.removeprefix("data/") for name in others if name.startswith("data/")} == shared
    assert "licenses/LICENSE" in others


def test_the_installed_wheel_answers_from_any_folder(
    wheel: Path, vosk_en: Path, tmp_path: Path
) -> None:
    """Installed into an empty environment; dependencies are those of the tests."""
    folder = tmp_path / "venv"
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (packages,) = folder.glob("lib/python*/site-packages")
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "dependencies.pth").write_text(f"{ours}\n")
    where = run(python, "-P", "-c", "import daemon, model; print(daemon.__file__)", cwd=Path("/"))
    assert where.startswith(str(packages))
    out = tmp_path / "reply.wav"
    program = folder / "bin" / "afterword"
    arguments = ("--set", f"hearing.model={vosk_en}", "--set", "model.random_seed=1")
    told = run(program, "run", "--wav", RECORDING, "--out", out, *arguments, cwd=Path("/"))
    assert "You:       once upon a time there was a little fox" in told
    assert len(told.partition("Afterword: ")[2].split()) > 2
    samples, rate = sf.read(out)
    assert len(samples) > rate
    render = "import sys; from daemon.systemd import unit; print(unit.render(sys.argv[1], []))"
    unit = run(python, "-P", "-c", render, program, cwd=Path("/"))
    assert f'ExecStart="{program}" run' in unit
