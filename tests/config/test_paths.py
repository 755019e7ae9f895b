"""The XDG base directories."""

from pathlib import Path

import pytest

from config import paths


def test_the_xdg_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/data")
    assert paths.data_folder() == Path("/somewhere/data/afterword")


def test_relative_or_missing_variables_fall_back_to_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert paths.config_file() == Path("/home/ann/.config/afterword/config.yaml")
    assert paths.cache_folder() == Path("/home/ann/.cache/afterword")
