"""What several tests of training need."""

import os
import signal
from pathlib import Path

import pytest

from model.train.trainer import Trainer
from tests.model.made import story_text


@pytest.fixture(autouse=True)
def short_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of each kind is scored at the end of a refresh, and samples are of a few words."""
    monkeypatch.setattr("model.train.result.scores._CHARACTERS", 1)
    monkeypatch.setattr("model.train.result.samples._MAX_NEW_TOKENS", 8)


@pytest.fixture
def stories(tmp_path: Path) -> Path:
    """A text to train on."""
    path = tmp_path / "stories.txt"
    path.write_text(story_text())
    return path


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in this process gets Ctrl+C in its sixth step; resumed behind it, it does not."""
    step = Trainer.train_step

    def stopping(trainer: Trainer, progress: float) -> dict[str, float]:
        if trainer.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer, progress)

    monkeypatch.setattr(Trainer, "train_step", stopping)
