"""The large weights, where they are fetched: chosen by the settings or by a seed, offline."""

from pathlib import Path

import pytest

from model.checkpoints.fetched import folder_of
from tests.support.program import afterword


@pytest.mark.parametrize("setting", ["large", "auto"])
def test_they_continue_what_is_no_story(
    setting: str, fetched_large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    folder_of("large").parent.mkdir(parents=True)
    folder_of("large").symlink_to(fetched_large)
    flags = [f"model.weights={setting}", "model.random_seed=1"]
    options = [word for flag in flags for word in ("--set", flag)]
    done = afterword("say", "the best way to make bread is", "--no-speech", *options)
    assert done.code == 0, done.err
    assert len(done.out.split()) > 5
    listed = afterword("weights", "--set", f"model.weights={setting}").out
    assert "\n* large " in f"\n{listed}"
    assert "\n* large-spoken " in listed  # the adapter that comes with Afterword fits them
    assert afterword("weights", "verify").code == 0
