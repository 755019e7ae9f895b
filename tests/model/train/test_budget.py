"""A training keeps to the time that was told, to the disk's room, and loses nothing when killed."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner, Result

from config.errors import OutputError
from model.checkpoints.training_state import load_state
from model.text.vocabulary import Vocabulary
from model.train.budget import autosave, clock, threads
from model.train.budget.autosave import Autosave
from model.train.budget.clock import Clock
from model.train.budget.disk import require_room
from model.train.budget.plan import Plan, told, with_length
from model.train.budget.scoring import openings
from model.train.budget.threads import Threads
from model.train.command import train as main
from model.train.optimizers import rate_factor
from model.train.options import TrainOptions

ROOT = Path(__file__).parents[3]
SMALL = ["--preset", "tiny", "--context", "32", "--batch", "4", "--precision", "fp32"]
SMALL += ["--device", "cpu", "--validate-every", "1000"]


class FakeTime:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    for module in (autosave, clock, threads):
        monkeypatch.setattr(module, "time", fake)
    return fake


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def entries(folder: Path, key: str) -> list[float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line[key] for line in lines if key in line]


def test_a_plan_made_under_load_does_not_go_on_when_the_load_has_gone(fake_time: FakeTime):
    passes = Clock(steps=300, minutes=30)
    passes.start()
    fake_time.now = 10.0
    passes.note_step(10.0)
    assert passes.expected(1) == 2990
    assert passes.left(1) == 1790  # the time ends it
    seen = [passes.progress(1)]
    for step in range(2, 301):  # the load has gone
        fake_time.now += 0.5
        passes.note_step(0.5)
        seen.append(passes.progress(step))
    assert passes.left(150) == 75
    assert passes.progress(299) < 1 == seen[-1]  # after 160 of 1,800 seconds
    assert seen == sorted(seen)


def test_progress_does_not_fall_when_a_load_comes(fake_time: FakeTime):
    slowed = Clock(steps=100, minutes=10, seconds=30)
    assert (slowed.seconds, slowed.progress(0)) == (30, 0.05)
    slowed.start()
    seen = []
    for step in range(1, 60):
        fake_time.now += 1 if step < 40 else 30
        seen.append(slowed.progress(step))
    assert seen == sorted(seen)
    assert seen[38] == 0.39
    assert seen[-1] == 1.0


def test_the_faster_number_of_threads_is_taken_and_timed_again(
    fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch
):
    seconds = {1: 1.0, 2: 4.0}  # beside other programs
    present = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: present[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: present.__setitem__(0, n))

    def work() -> None:
        fake_time.now += seconds[present[0]]

    chosen = Threads(work, fixed=False)
    assert chosen.choose()
    assert (chosen.count, present) == (1, [1])
    assert fake_time.now == 4 + 1 + 4  # the first one, then one of each, as two are much slower
    spent = fake_time.now
    assert not chosen.choose()  # not yet again
    assert fake_time.now == spent
    seconds[2] = 0.95  # hardly faster
    fake_time.now += 200
    assert not chosen.choose()
    seconds[2] = 0.55
    fake_time.now += 200
    assert chosen.choose()
    assert (chosen.count, present) == (2, [2])
    spent = fake_time.now
    assert not Threads(work, fixed=True).choose()
    assert fake_time.now == spent


def test_a_state_is_saved_each_minute_and_a_large_one_less_often(fake_time: FakeTime):
    took, saved = [0.1], []

    def save() -> None:
        fake_time.now += took[0]
        saved.append(fake_time.now)

    saving = Autosave(save)
    for _ in range(130):
        saving.if_due()
        fake_time.now += 1
    assert [round(at) for at in saved] == [60, 120]
    took[0] = 6.0
    saving.now()
    saved.clear()
    for _ in range(290):
        saving.if_due()
        fake_time.now += 1
    assert saved == []


PLAN = Plan(366, 3.0, 30.0, 540.0, 1900.0, "1 thread", starter=True)


def test_the_plan_tells_how_long_three_passes_take():
    assert told(PLAN).startswith(
        "366 steps make 3.0 passes over your texts and some of the starter corpus: about 9 "
        "minutes at 1,900 tokens a second here on 1 thread, validations included."
    )


def test_the_plan_tells_what_part_of_much_text_is_read_and_what_to_do():
    much = told(replace(PLAN, seconds=10 * 3600.0))
    assert "stops after 30 minutes, in which it reads about 15 % of your texts and some" in much
    assert "`--minutes 600` makes 3.0 passes, and of fewer texts, those most like you" in much
    some = told(replace(PLAN, seconds=3600.0))
    assert "in which it reads 1.5 passes over your texts" in some
    assert "`--minutes 60` makes 3.0 passes. " in some


def test_the_rate_warms_up_however_slow_the_steps_are():
    assert rate_factor(0.0, 0) == pytest.approx(0.05)
    assert rate_factor(0.1, 0) == pytest.approx(0.2)
    assert rate_factor(0.1, 9) > 0.9
    assert rate_factor(1.0, 9) == 0


def test_a_length_is_given_or_that_of_the_state_or_the_default(tmp_path: Path):
    options = TrainOptions((), tmp_path)
    given = replace(options, steps=3)
    assert with_length(given, {"length": {"steps": 9, "minutes": None}}) == given
    assert with_length(options, {"length": {"steps": 9, "minutes": None}}).steps == 9
    assert with_length(options, {}).minutes == with_length(options, None).minutes == 30


def test_a_validation_scores_a_context_of_each_text_and_few_texts():
    vocabulary = Vocabulary([279, 39935])
    texts = [f"The fox number {n} ran over the hill. " * 40 for n in range(200)]
    scored = openings(texts, vocabulary, 100)
    assert 48 <= len(scored) <= 64
    assert all(text.startswith("The fox") and text.endswith("hill.") for text in scored)
    assert all(50 <= len(vocabulary.encode(text)) <= 100 for text in scored)
    assert openings(["Ab."], vocabulary, 100) == ["Ab."]
    assert openings(["春" * 500], vocabulary, 64) == ["春" * 19]  # three tokens each


def test_a_killed_training_goes_on_from_its_last_state(stories: Path, tmp_path: Path):
    """SIGKILL before the first validation; the state is saved after each step, not each minute."""
    program = (
        "import os, signal\n"
        "from model.train.budget import autosave\n"
        "from model.train.trainer import Trainer\n"
        "from model.train.command import train as main\n"
        "autosave._SECONDS_BETWEEN, autosave._SHARE = 0, 9e9\n"
        "save = Trainer.save\n"
        "def killed(self):\n"
        "    if self.step == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    save(self)\n"
        "Trainer.save = killed\n"
        "main()"
    )
    given = ["--corpus", stories, *SMALL, "--threads", 1, "--steps", 9]
    command = [sys.executable, "-c", program, *map(str, given), "--out", str(tmp_path / "parts")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert entries(tmp_path / "parts", "loss")[5:]  # a step that the state does not know
    assert load_state(tmp_path / "parts" / "last.pt")["step"] == 5
    with (tmp_path / "parts" / "log.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    result = train(*given, "--out", tmp_path / "parts", "--resume")
    assert result.exit_code == 0, result.output
    train(*given, "--out", tmp_path / "whole")
    assert entries(tmp_path / "parts", "loss") == entries(tmp_path / "whole", "loss")


def test_a_resumed_training_has_its_length_without_saying_it_again(stories: Path, tmp_path: Path):
    given = ("--corpus", stories, "--out", tmp_path / "out", *SMALL)
    train(*given, "--steps", 3)
    assert load_state(tmp_path / "out" / "last.pt")["length"] == {"steps": 3, "minutes": None}
    assert train(*given, "--resume").exit_code == 0
    assert entries(tmp_path / "out", "loss")[3:] == []


def test_time_left_and_scoring_are_shown(
    stories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("model.train.trainer._SILENT_SECONDS", 0)
    result = train("--corpus", stories, "--out", tmp_path / "out", *SMALL, "--steps", 3)
    assert re.search(r"66\.7%.* less than a minute left, loss", result.stderr)
    assert re.search(r"Scoring held-out texts: +\d+%", result.stderr)


def test_a_disk_with_too_little_room_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = TrainOptions((), tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=250_000_000))
    with pytest.raises(OutputError, match=r"needs about 285 MB there, and 250 MB are free; make"):
        require_room(options, 10_000_000)
    options.state_path.touch()  # it will be replaced
    require_room(options, 10_000_000)
