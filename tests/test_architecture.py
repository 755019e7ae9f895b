"""Who may import whom: between packages, between folders and between files.

Run as a program (`python tests/test_architecture.py`), it prints the import floors of each package.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "config": {"config"},
    "audio": {"audio", "config"},
    "model": {"model", "config"},
    "daemon": {"daemon", "audio", "model", "config"},
}
# A folder (or file) on the left imports nothing from those on the right.
FORBIDDEN = {
    "daemon.conversation": ("daemon.loop", "daemon.components"),
    "daemon.loop": ("daemon.components",),
    "daemon.control": ("daemon.loop", "daemon.conversation"),
}
# Measuring tools: imported by the commands that show their results, and by each other.
ONLY_FOR_COMMANDS = {
    "audio.evaluation": ("daemon.doctor", "daemon.cli"),
    "model.bench": (),
    "daemon.bench": (),
}
HEAVY = {"torch", "vosk", "pyttsx3", "sounddevice", "soundfile", "soxr", "numpy", "pydantic"}

MAX_ROOMS = 17  # files and folders at first sight in a package
MAX_FILES = 12  # in a folder

Graph = Mapping[str, set[str]]


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {module_name(file): file for name in ALLOWED for file in (ROOT / name).rglob("*.py")}


def imported(file: Path) -> Iterator[str]:
    """The dotted name of everything that is imported, at the top or inside a function."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_graph() -> Graph:
    """Each module of ours and those of ours that it imports."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, file in known.items():
        targets = set()
        for target in imported(file):
            module = target if target in known else target.rpartition(".")[0]
            if module in known and module != name:
                targets.add(module)
        graph[name] = targets
    return graph


def rooms(graph: Graph, package: str) -> Graph:
    """The files and folders directly inside a package or folder, and which imports which."""
    depth = package.count(".") + 1

    def room(module: str) -> str | None:
        inside = module.startswith(f"{package}.")
        return ".".join(module.split(".")[: depth + 1]) if inside else None

    found: dict[str, set[str]] = {}
    for module, targets in graph.items():
        if own := room(module):
            others = {room(target) for target in targets} - {own, None}
            found.setdefault(own, set()).update(other for other in others if other)
    return found


def floors(graph: Graph) -> list[list[str]]:
    """Rooms by height: on the lowest floor those that import no other room."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    levels = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        levels.append(ready)
        sorter.done(*ready)
    return levels


def is_in(module: str, folder: str) -> bool:
    return module == folder or module.startswith(f"{folder}.")


def folders() -> list[str]:
    return [
        ".".join(folder.relative_to(ROOT).parts)
        for name in ALLOWED
        for folder in sorted([ROOT / name, *(ROOT / name).rglob("*")])
        if folder.is_dir() and any(folder.glob("*.py"))
    ]


GRAPH = import_graph()


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_flow_one_way(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        own = {name.partition(".")[0] for name in imported(file)} & set(ALLOWED)
        assert own <= ALLOWED[package], f"{file} imports {own - ALLOWED[package]}"


def test_files_import_each_other_in_no_circle() -> None:
    floors(GRAPH)  # raises CycleError, which names the circle


@pytest.mark.parametrize("folder", folders())
def test_folders_import_each_other_in_no_circle(folder: str) -> None:
    floors(rooms(GRAPH, folder))


def test_a_circle_would_be_found() -> None:
    graph = {"p.a.x": {"p.b.y"}, "p.b.y": set(), "p.b.z": {"p.a.w"}, "p.a.w": set()}
    floors(graph)
    with pytest.raises(CycleError):
        floors(rooms(graph, "p"))


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_can_be_taken_in_at_a_glance(package: str) -> None:
    assert len(rooms(GRAPH, package)) <= MAX_ROOMS


@pytest.mark.parametrize("folder", folders())
def test_no_folder_has_more_than_a_dozen_files(folder: str) -> None:
    files = [file for file in (ROOT / folder.replace(".", "/")).glob("*.py") if file.stat().st_size]
    assert len(files) <= MAX_FILES


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_folder_does_not_know_what_uses_it(folder: str) -> None:
    for module, targets in GRAPH.items():
        if is_in(module, folder):
            known = [t for t in targets if any(is_in(t, other) for other in FORBIDDEN[folder])]
            assert not known, f"{module} imports {known}"


@pytest.mark.parametrize("folder", ONLY_FOR_COMMANDS)
def test_measuring_tools_are_imported_by_commands_alone(folder: str) -> None:
    for module, targets in GRAPH.items():
        if not any(
            is_in(module, other) for other in (*ONLY_FOR_COMMANDS, *ONLY_FOR_COMMANDS[folder])
        ):
            used = [target for target in targets if is_in(target, folder)]
            assert not used, f"{module} imports {used}"


@pytest.mark.parametrize(
    "variables", [{}, {"_AFTERWORD_COMPLETE": "bash_complete", "COMP_CWORD": "1"}]
)
def test_help_and_completion_import_no_command(variables: dict[str, str]) -> None:
    program = (
        "import sys\nfrom daemon.cli.main import cli\n"
        "try: cli(['--help'], prog_name='afterword')\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables, "COMP_WORDS": "afterword "},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "doctor" in done.stdout
    loaded = set(done.stderr.split())
    assert not loaded & HEAVY
    assert {name for name in loaded if is_in(name, "daemon.cli")} == {
        *("daemon.cli", "daemon.cli.main", "daemon.cli.help")
    }


@pytest.mark.parametrize("command", ["train", "explain", "evaluate"])
def test_the_help_of_a_command_of_the_model_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys\nfrom daemon.cli.main import cli\n"
        f"try: cli(['{command}', '--help'], prog_name='afterword')\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--threads" in done.stdout or command == "explain"
    assert f"model.{command}.command" in done.stderr
    assert not set(done.stderr.split()) & HEAVY


def print_floors() -> None:
    for package in ALLOWED:
        graph = rooms(GRAPH, package)
        levels = floors(graph)
        arrows = sum(map(len, graph.values()))
        print(f"{package}: {len(graph)} rooms, {len(levels)} floors, {arrows} arrows")
        for number, level in enumerate(levels, 1):
            print(f"  {number}  " + ", ".join(name.rpartition(".")[2] for name in level))


if __name__ == "__main__":
    print_floors()
