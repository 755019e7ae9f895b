"""Every dependency is pinned, locked by hash, and listed with licence and purpose."""

import re
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.program import ROOT

ROW = re.compile(r"^\| ([\w.-]+) \| (\d[\w.]*) \| (.+) \| (.+) \|$", re.M)


def listed() -> dict[str, tuple[str, str, str]]:
    text = (ROOT / "docs" / "lab" / "dependencies.md").read_text("utf-8")
    rows = [match.groups() for match in ROW.finditer(text)]
    return {canonicalize_name(row[0]): (row[1], row[2], row[3]) for row in rows}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def locked(name: str) -> dict[str, str]:
    """The packages and versions of a file in requirements/; each must have its hashes."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    found = {}
    for block in re.split(r"^(?=\w)", text, flags=re.M)[1:]:
        first, *hashes = block.replace("\\\n", "\n").split("\n    ")
        requirement = Requirement(first)
        assert hashes, first
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}\s*", line) for line in hashes), first
        found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements} - {"afterword"}


def test_the_list_matches_the_pinned_packages() -> None:
    assert {name: row[0] for name, row in listed().items()} == pinned()


def test_pinned_packages_are_locked_by_hash() -> None:
    run, test, torch = (locked(f"{name}.txt") for name in ("run", "test", "torch"))
    assert not run.keys() & test.keys()
    assert {**run, **test, "torch": torch["torch"]} == pinned(), "run scripts/lock"
    assert locked("torch-cpu.txt") == {"torch": f"{torch['torch']}+cpu"}, "run scripts/lock"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert names(project["dependencies"]) <= {*run, "torch"}
    for extra in ("test", "corpus", "piper", "train", "tui", "wyoming"):
        assert names(extras[extra]) <= run.keys() | test.keys()


def test_the_hashes_of_the_builds_for_the_cpu_are_read_from_their_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For Linux on x86_64 and aarch64, as the index of PyTorch writes its links."""
    wheels = {
        "2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64": "a" * 64,
        "2.13.0%2Bcpu-cp313-cp313-manylinux_2_28_aarch64": "b" * 64,
        "2.13.0%2Bcpu-cp310-cp310-manylinux_2_28_x86_64": "c" * 64,
        "2.13.0%2Bcpu-cp314-cp314t-manylinux_2_28_x86_64": "d" * 64,
        "2.13.0%2Bcpu-cp311-cp311-win_amd64": "e" * 64,
        "2.12.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64": "f" * 64,
    }
    links = [f'<a href="/whl/cpu/torch-{w}.whl#sha256={h}">x</a>' for w, h in wheels.items()]
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "index.html").write_text("\n".join(links))
    path = str(ROOT / "scripts" / "lock")
    spec = spec_from_loader("lock", SourceFileLoader("lock", path))
    assert spec
    assert spec.loader
    lock = module_from_spec(spec)
    lock.__file__ = path
    spec.loader.exec_module(lock)
    monkeypatch.setattr(lock, "PAGE", (tmp_path / "torch" / "index.html").as_uri())
    pinned = f"torch==2.13.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64}\n"
    block = lock.cpu_build(pinned)
    first, *hashes = block.splitlines()
    assert first == "torch==2.13.0+cpu ; sys_platform == 'linux' \\"
    assert hashes == [f"    --hash=sha256:{'a' * 64} \\", f"    --hash=sha256:{'b' * 64}"]


def test_each_has_a_licence_and_direct_dependencies_a_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    direct = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    for name, (_, licence, why) in listed().items():
        assert licence not in ("see its files", "not installed here"), name
        if name in direct:
            assert why != "needed by others", name
    assert direct <= listed().keys()


def test_onnxruntime_is_held_below_the_version_that_reports_to_its_maker() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [one for one in map(Requirement, project["dependencies"]) if one.name == "onnxruntime"]
    assert len(wanted) == 1
    assert wanted[0].specifier.contains(pinned()["onnxruntime"])
    assert not wanted[0].specifier.contains("1.29.0")
