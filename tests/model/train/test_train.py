import importlib.util
import itertools
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner, Result

from config.installation import add_extra_command
from model.checkpoints.training_state import load_state
from model.checkpoints.weights_file import load_weights, save_weights
from model.train.command import train as main
from tests.model.made import small_weights, story_text

ROOT = Path(__file__).parents[3]
SMALL = ["--preset", "tiny", "--context", "32", "--batch", "4", "--precision", "fp32"]
SMALL += ["--threads", "1", "--device", "cpu", "--validate-every", "1000"]


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_loss_falls_and_the_weights_are_usable(stories: Path, tmp_path: Path):
    out = tmp_path / "out"
    result = train("--corpus", stories, "--out", out, *SMALL, "--steps", 25, "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    assert "Done: " in result.output
    found = losses(out)
    assert len(found) == 25
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
    weights = load_weights(out / "en.safetensors")
    assert weights.licence == "CC0-1.0"
    assert b" fox" in weights.vocabulary.pieces
    validation = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert 0.2 < validation["bits_per_byte"] < 4
    assert validation["sample"].startswith("the old sailor")


def test_accumulated_batches_make_the_step_of_one_large_batch(stories: Path, tmp_path: Path):
    def run(out: str, *more: object) -> list[float]:
        result = train("--corpus", stories, "--out", tmp_path / out, *SMALL, "--steps", 8, *more)
        assert result.exit_code == 0, result.output
        return losses(tmp_path / out)

    parts = run("parts", "--batch", 2, "--accumulate", 3)
    assert parts == pytest.approx(run("whole", "--batch", 6), rel=1e-4)
    assert parts != pytest.approx(run("other", "--batch", 2), rel=1e-2)


def test_two_processes_make_the_step_of_two_batches(stories: Path, tmp_path: Path):
    arguments = ["--corpus", stories, *SMALL, "--steps", 6]
    command = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "model.train"]
    run_python([*command, *arguments, "--out", tmp_path / "two"], cwd=ROOT)
    result = train(*arguments, "--accumulate", 2, "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    two, one = (load_weights(tmp_path / out / "en.safetensors").model for out in ("two", "one"))
    torch.testing.assert_close(two.state_dict(), one.state_dict(), rtol=1e-2, atol=1e-3)


def run_python(module: list[object], cwd: Path) -> None:
    command = [sys.executable, "-m", *map(str, module)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_resuming_is_exact(stories: Path, tmp_path: Path, optimizer: str):
    def run(out: str, steps: int, *more: str) -> None:
        result = train(
            "--corpus", stories, "--out", tmp_path / out, *SMALL, "--steps", steps, *more
        )
        assert result.exit_code == 0, result.output

    run("whole", 12, "--optimizer", optimizer)
    process = stopped_after(5, stories, tmp_path / "parts", 12, "--optimizer", optimizer)
    assert "with --resume goes on" in process
    run("parts", 12, "--resume")
    assert len(losses(tmp_path / "whole")) == 12
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def stopped_after(count: int, stories: Path, out: Path, steps: int, *more: str) -> str:
    """Train in a process that gets SIGINT after so many steps; what it prints."""
    program = (
        "import os, signal\n"
        "from model.train.trainer import Trainer\n"
        "from model.train.command import train as main\n"
        "step = Trainer.train_step\n"
        "def stopping(self, progress):\n"
        f"    if self.step == {count - 1}: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self, progress)\n"
        "Trainer.train_step = stopping\n"
        "main()"
    )
    arguments = ["--corpus", str(stories), "--out", str(out), *SMALL, "--steps", str(steps)]
    command = [sys.executable, "-c", program, *arguments, *more]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(losses(out)) == count
    return result.stdout


def test_resuming_keeps_the_learning_rate(stories: Path, tmp_path: Path):
    def rates(out: str) -> list[float]:
        lines = (tmp_path / out / "log.jsonl").read_text().splitlines()
        starts = [json.loads(line).get("start") for line in lines]
        return [start["learning_rate"] for start in starts if start]

    train("--corpus", stories, "--out", tmp_path / "first", *SMALL, "--steps", 1)
    start = ("--init-from", tmp_path / "first" / "en.safetensors")
    train("--corpus", stories, "--out", tmp_path / "second", *SMALL, "--steps", 1, *start)
    train("--corpus", stories, "--out", tmp_path / "second", *SMALL, "--steps", 2, "--resume")
    (fresh,), (continued, resumed) = rates("first"), rates("second")
    assert resumed == continued != fresh


def test_the_optimizer_follows_from_the_start_and_stays_when_resumed(stories: Path, tmp_path: Path):
    def optimizers(out: str) -> list[str]:
        lines = (tmp_path / out / "log.jsonl").read_text().splitlines()
        starts = [json.loads(line).get("start") for line in lines]
        return [start["optimizer"] for start in starts if start]

    def run(out: str, *more: object) -> Result:
        return train("--corpus", stories, "--out", tmp_path / out, *SMALL, *more)

    start = ("--init-from", tmp_path / "fresh" / "en.safetensors")
    run("fresh", "--steps", 1)
    run("tuned", "--steps", 1, *start)
    run("plain", "--steps", 1, "--optimizer", "adamw")
    run("plain", "--steps", 2, "--resume")
    assert [optimizers(out) for out in ("fresh", "tuned")] == [["muon"], ["adamw"]]
    assert optimizers("plain") == ["adamw", "adamw"]
    other = run("plain", "--steps", 3, "--resume", "--optimizer", "muon")
    assert (other.exit_code, "begun with adamw, not muon" in other.stderr) == (65, True)


def test_training_goes_on_from_weights(stories: Path, tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second" / "mine.safetensors"
    train("--corpus", stories, "--out", first, *SMALL, "--steps", 25)
    start = ("--init-from", first / "en.safetensors")
    result = train("--corpus", stories, "--out", second, *SMALL, "--steps", 2, *start)
    assert result.exit_code == 0, result.output
    assert losses(second.parent)[0] < 0.8 * losses(first)[0]
    assert load_weights(second).model.config == load_weights(first / "en.safetensors").model.config


def test_minutes_end_the_training(stories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ticks = itertools.count()  # the time passes with each look at it, however busy the machine is
    ticking = SimpleNamespace(monotonic=lambda: 0.01 * next(ticks))
    monkeypatch.setattr("model.train.budget.clock.time", ticking)
    result = train("--corpus", stories, "--out", tmp_path / "o", *SMALL, "--minutes", 0.02)
    assert result.exit_code == 0, result.output
    log = [json.loads(line) for line in (tmp_path / "o" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in log if "rate" in line]
    assert 1.15 <= steps[-1]["seconds"] < 1.3
    assert len(steps) > 10
    assert steps[-1]["rate"] < 0.3 * max(step["rate"] for step in steps)


def test_impatience_ends_a_training_that_gets_no_better(stories: Path, tmp_path: Path):
    slow = ("--learning-rate", 1e-9, "--validate-every", 2)  # what it says is all but the same
    out = tmp_path / "out"
    result = train("--corpus", stories, "--out", out, *SMALL, *slow, "--steps", 99, "--patience", 2)
    assert result.exit_code == 0, result.output
    assert "Done: " in result.output
    assert len(losses(out)) < 99
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    bits = [line["bits_per_byte"] for line in log if "bits_per_byte" in line]
    assert min(bits[:-2]) == min(bits)


def test_impatience_is_resumed_too(stories: Path, tmp_path: Path):
    slow = ("--learning-rate", 1e-9, "--validate-every", 2, "--patience", 3)
    base = ("--corpus", stories, "--out", tmp_path / "out", *SMALL, *slow)
    train(*base, "--steps", 6)
    worse = load_state(tmp_path / "out" / "last.pt")["worse"]
    assert worse > 0
    result = train(*base, "--steps", 99, "--resume")
    assert result.exit_code == 0, result.output
    assert len(losses(tmp_path / "out")) <= 6 + 2 * (3 - worse)


def test_tensorboard_is_asked_for_or_absent(stories: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ["--corpus", stories, "--out", out, *SMALL, "--steps", 2]
    if importlib.util.find_spec("tensorboard") is None:
        result = train(*arguments, "--tensorboard")
        assert (result.exit_code, add_extra_command("tensorboard") in result.stderr) == (78, True)
    else:
        assert train(*arguments, "--tensorboard").exit_code == 0
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(out / "tensorboard")).ReloadRequest()
        found = [event.value for event in board.Scalars("loss")]
        assert found == pytest.approx(losses(out), rel=1e-5)


def test_the_full_vocabulary_works(stories: Path, tmp_path: Path):
    out = tmp_path / "out"
    arguments = ("--vocabulary-min-count", "full", "--steps", 1)
    assert train("--corpus", stories, "--out", out, *SMALL, *arguments).exit_code == 0
    assert load_weights(out / "en.safetensors").model.config.vocabulary_size == 100_257


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--corpus", "none.txt"], 66, "The text file none.txt is missing."),
        (["--corpus", "latin.txt"], 66, "latin.txt is not UTF-8 at byte 1;"),
        (["--corpus", "tiny.txt"], 66, "is too small"),
        (["--corpus", "stories.txt@2"], 66, "must be above 0 and at most 1"),
        (["--corpus", "stories.txt", "--out", "stories.txt/x"], 73, "cannot be written"),
        (["--corpus", "stories.txt", "--init-from", "none"], 65, "none cannot be read"),
        (["--corpus", "stories.txt", "--init-from", "stories.txt"], 65, "is no llama2.c model"),
        (["--corpus", "stories.txt", "--init-from", "text.safetensors"], 65, "no complete weights"),
        (
            ["--corpus", "stories.txt", "--init-from", "other.safetensors"],
            65,
            "not the preset tiny",
        ),
        (
            ["--corpus", "stories.txt", "--init-from", "other.safetensors", "--language", "zh"],
            65,
            'other.safetensors is of the language "en", not "zh"',
        ),
        (["--corpus", "stories.txt", "--resume"], 65, "There is nothing to resume"),
        (["--corpus", "stories.txt", "--device", "quantum"], 78, 'The device "quantum"'),
        (["--corpus", "stories.txt", "--minutes", "1"], 2, "not both"),
        (["--corpus", "stories.txt", "--vocabulary-min-count", "many"], 2, "or full"),
        ([], 2, "--corpus"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(
    stories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
):
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes("Märchen".encode("latin-1"))
    Path("tiny.txt").write_text("The end.")
    Path("text.safetensors").write_text("Once upon a time there was a fox.")
    save_weights(Path("other.safetensors"), small_weights())
    result = train("--out", "out", *SMALL, "--steps", 1, *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output


def test_a_training_of_another_shape_or_language_is_not_resumed(stories: Path, tmp_path: Path):
    base = ["--corpus", stories, "--out", tmp_path / "out", *SMALL, "--steps", 1]
    assert train(*base).exit_code == 0
    again = train(*base)
    assert (again.exit_code, "add --resume" in again.stderr) == (73, True)
    shape = train(*base, "--resume", "--preset", "small")
    assert (shape.exit_code, "not the preset small" in shape.stderr) == (65, True)
    language = train(*base, "--resume", "--language", "zh")
    assert (language.exit_code, 'of the language "en"' in language.stderr) == (65, True)


def test_an_error_is_one_line_and_no_traceback(tmp_path: Path):
    command = [sys.executable, "-m", "model.train", "--corpus", "none.txt", "--out", tmp_path / "o"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 66
    assert result.stderr == "Error: The text file none.txt is missing.\n"


def test_the_signals_are_given_back(stories: Path, tmp_path: Path):
    before = signal.getsignal(signal.SIGINT)
    train("--corpus", stories, "--out", tmp_path / "out", *SMALL, "--steps", 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_several_files_may_follow_one_option(stories: Path, tmp_path: Path):
    other = tmp_path / "other.txt"
    other.write_text(story_text())

    def corpus_tokens(out: str, *files: Path) -> int:
        result = train("--corpus", *files, "--out", tmp_path / out, *SMALL, "--steps", 1)
        assert result.exit_code == 0, result.output
        first = (tmp_path / out / "log.jsonl").read_text().splitlines()[0]
        return int(json.loads(first)["start"]["corpus_tokens"])

    assert corpus_tokens("two", stories, other) == 2 * corpus_tokens("one", stories)


def test_a_file_that_cannot_be_used_is_told_and_the_others_are_trained_on(
    stories: Path, tmp_path: Path
):
    (tmp_path / "bad.txt").write_bytes(bytes(range(256)) * 9)
    old = tmp_path / "old.txt"
    old.write_bytes(("Das Füchslein schläft. " * 50).encode("latin-1"))
    files = (tmp_path / "none.txt", stories, tmp_path / "bad.txt", old)
    result = train("--corpus", *files, "--out", tmp_path / "out", *SMALL, "--steps", 1)
    assert result.exit_code == 0, result.output
    assert re.search(r"Read 2 files of [\d,]+ characters\.", result.stdout)
    assert f"{old}: read as Windows-1252" in result.stdout
    assert "Left out 2 files:" in result.stdout
    assert f"The text file {tmp_path / 'none.txt'} is missing." in result.stdout
    assert f"{tmp_path / 'bad.txt'} holds binary data, no text." in result.stdout
