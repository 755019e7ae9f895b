"""docs/default.zh.yaml, the settings explained in Chinese, matches the defaults in force."""

from dataclasses import asdict

import yaml

from config.load import load
from tests.support.program import ROOT


def test_it_names_every_setting_with_the_value_in_force_for_chinese() -> None:
    explained = yaml.safe_load((ROOT / "docs" / "default.zh.yaml").read_text("utf-8"))
    in_force = asdict(load(flags=["language=zh"]).settings)
    assert in_force["model"]["weights"] is None
    in_force["model"]["weights"] = "auto"  # as it is written
    assert explained == in_force


def test_every_setting_is_explained_in_chinese() -> None:
    lines = (ROOT / "docs" / "default.zh.yaml").read_text("utf-8").splitlines()
    keys = [at for at, line in enumerate(lines) if line.startswith("  ") and "#" not in line]
    bare = [lines[at] for at in keys if not lines[at - 1].lstrip().startswith("#")]
    assert len(keys) > 30
    assert bare == []
