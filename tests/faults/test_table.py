"""Each row of the tables in docs/lab/faults.md names tests, and these exist."""

import ast
import re

from tests.support.program import ROOT

TEXT = (ROOT / "docs" / "lab" / "faults.md").read_text("utf-8")
ROW = re.compile(r"^\|(.+)\|(.+)\|(.+)\|(.+)\|$", re.M)


def rows() -> list[tuple[str, ...]]:
    found = [tuple(cell.strip() for cell in match.groups()) for match in ROW.finditer(TEXT)]
    return [row for row in found if row[0] != "fault" and set(row[0]) != {"-"} and row[0] != "---"]


def functions(file: str) -> set[str]:
    """The functions of a file: `name`, and `Class::name` for methods."""
    names = set()
    for node in ast.parse((ROOT / file).read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
    return names


def test_every_row_is_complete_and_its_tests_are_there() -> None:
    assert len(rows()) >= 40
    for fault, happens, lost, tests in rows():
        assert all((fault, happens, lost)), fault
        named = re.findall(r"`([\w/.]+\.py)::([\w:]+)`", tests)
        assert named, f"{fault}: no test is named"
        for file, name in named:
            assert name.rpartition("::")[2].startswith("test_"), name
            assert name in functions(file), f"{fault}: there is no {file}::{name}"
