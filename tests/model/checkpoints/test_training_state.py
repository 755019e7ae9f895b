from pathlib import Path

import pytest
import torch

from config.errors import WeightsError
from model.checkpoints.training_state import load_state, save_state
from tests.model.checkpoints.test_weights_file import Evil

STATE = dict.fromkeys(
    ["config", "vocabulary", "optimizer", "seconds", "best", "data", "corpus", "language"], 0
)


def test_a_state_comes_back(tmp_path: Path):
    save_state(tmp_path / "last.pt", {**STATE, "model": {"w": torch.ones(2)}, "step": 3})
    state = load_state(tmp_path / "last.pt")
    assert state["step"] == 3
    assert state["model"]["w"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_state_is_refused(tmp_path: Path, share: float):
    path = tmp_path / "last.pt"
    save_state(path, {"model": {"w": torch.ones(1000)}})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match="no complete trainer state"):
        load_state(path)


def test_code_in_a_state_does_not_run(tmp_path: Path):
    torch.save(
        {"kind": "afterword", "format": 1, "step": Evil(tmp_path / "ran")}, tmp_path / "x.pt"
    )
    with pytest.raises(WeightsError, match="no complete trainer state"):
        load_state(tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"step": 1}, "is no trainer state of afterword"),
        ([1], "is no trainer state of afterword"),
        ({"kind": "afterword", "format": 9}, "update afterword"),
        ({**STATE, "kind": "afterword", "format": 1, "step": 3}, 'damaged: it lacks "model"'),
    ],
)
def test_other_states_are_refused(tmp_path: Path, content: object, message: str):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=message):
        load_state(tmp_path / "x.pt")


def test_a_missing_state_says_so(tmp_path: Path):
    with pytest.raises(WeightsError, match="nothing to resume"):
        load_state(tmp_path / "last.pt")
