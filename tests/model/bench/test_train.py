import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from model.bench import train
from model.bench.train import compare, main
from model.transformer import TransformerConfig
from tests.model.made import NANO_GPT_BEGINNING, story_text

NANO_GPT = f"""{NANO_GPT_BEGINNING}
        self.table = torch.nn.Embedding(config.vocab_size, config.n_embd)

    def forward(self, ids, targets):
        x = self.table(ids)
        logits = x @ self.table.weight.T
        return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        return torch.optim.AdamW(self.parameters(), learning_rate, betas)
"""


def test_all_learn_the_same_texts_within_the_same_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train, "SHAPES", {"12k": TransformerConfig(9, 32, 2, 2, 16, 24)})
    (tmp_path / "model.py").write_text(NANO_GPT)
    (tmp_path / "stories.txt").write_text(story_text())
    files = ["--corpus", f"{tmp_path}/stories.txt", "--nanogpt", f"{tmp_path}/model.py"]
    options = ["--minutes", "0.01", "--nanogpt-bf16", "--nanogpt-rate", "0.002", "--json"]
    result = CliRunner().invoke(main, [*files, *options])
    assert result.exit_code == 0, result.output
    ours, *others = json.loads(result.stdout)["learners"]
    names = ["nanogpt, same ids", "nanogpt, all ids", "nanogpt, bf16"]
    assert [other["name"] for other in others] == names
    for learner in (ours, *others):
        assert learner["steps"] >= 1
        assert 0 < learner["bits_per_byte"] < 16


def test_each_has_its_budget_of_processor_time(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr("model.bench.train.time.process_time", lambda: clock[0])

    class Costly:
        def __init__(self, seconds: float) -> None:
            self.seconds, self.progress = seconds, list[float]()

        def step(self, progress: float) -> None:
            self.progress.append(progress)
            clock[0] += self.seconds

        def bits_per_byte(self) -> float:
            return 1.0

    slow, fast = Costly(20.0), Costly(5.0)
    assert compare({"slow": slow, "fast": fast}, cpu_minutes=1) == {
        "slow": (3, 20),
        "fast": (12, 5),
    }
    assert slow.progress == pytest.approx([0, 1 / 3, 2 / 3])
    assert fast.progress[-1] == pytest.approx(55 / 60)


def test_the_table_compares_with_ours():
    ours = train.Learned("afterword", 30, 1750.0, 7000.0, 1.2)
    other = train.Learned("nanogpt, same ids", 15, 1000.0, 4000.0, 1.4)
    lines = train.describe([ours, other]).splitlines()
    assert lines[2].split() == ["nanogpt,", "same", "ids", "1000", "1.75", "15", "1.4000"]
