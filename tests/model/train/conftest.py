"""What several tests of training need."""

import os
import signal

import pytest

from model.train.trainer import Trainer


@pytest.fixture(autouse=True)
def short_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of each kind is scored at the end of a refresh, and samples are of a few words."""
    monkeypatch.setattr("model.train.result.scores._CHARACTERS", 1)
    monkeypatch.setattr("model.train.result.samples._MAX_NEW_TOKENS", 8)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in this process gets Ctrl+C in its sixth step; resumed behind it, it does not."""
    step = Trainer.train_step

    def stopping(trainer: Trainer, progress: float) -> dict[str, float]:
        if trainer.step == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(trainer, progress)

    monkeypatch.setattr(Trainer, "train_step", stopping)
