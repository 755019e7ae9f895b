"""What is installed is pinned, listed with licence and purpose, and the list is up to date."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.program import ROOT

ROW = re.compile(r"^\| ([\w.-]+) \| (\d[\w.]*) \| (.+) \| (.+) \|$", re.M)


def listed() -> dict[str, tuple[str, str, str]]:
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    rows = [match.groups() for match in ROW.finditer(text)]
    return {canonicalize_name(row[0]): (row[1], row[2], row[3]) for row in rows}


def test_the_list_is_what_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    found = {name: row[0] for name, row in listed().items()}
    assert found == {canonicalize_name(name): version for name, version in pinned.items()}


def test_each_has_a_licence_and_what_we_ask_for_ourselves_a_purpose() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ours = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    for name, (_, licence, why) in listed().items():
        assert licence not in ("see its files", "not installed here"), name
        if name in ours:
            assert why != "needed by others", name
    assert ours <= listed().keys()
