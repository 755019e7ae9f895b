"""Who may import whom: daemon → audio, model, config; audio → config; model → config."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "config": {"config"},
    "audio": {"audio", "config"},
    "model": {"model", "config"},
    "daemon": {"daemon", "audio", "model", "config"},
}
HEAVY = {"torch", "vosk", "pyttsx3", "sounddevice", "soundfile", "soxr", "numpy", "pydantic"}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_flow_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        own = set(imported(file)) & set(ALLOWED)
        assert own <= ALLOWED[package], f"{file} imports {own - ALLOWED[package]}"


def test_help_needs_no_heavy_package() -> None:
    program = f"import sys, daemon.cli; print({HEAVY!r} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.strip() == "set()"
