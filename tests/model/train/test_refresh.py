import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config import paths
from model.checkpoints.store import own_weights, previous, shipped_weights
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.data.user_texts import UserText
from model.text.vocabulary import Vocabulary
from model.train.command import train as main
from model.train.refresh import corpus_folder, cut, training_folder
from model.transformer import Transformer, TransformerConfig
from tests.model.made import story_text

ROOT = Path(__file__).parents[3]
QUICK = ["--steps", "24", "--batch", "4", "--threads", "1", "--device", "cpu"]
QUICK += ["--precision", "fp32", "--learning-rate", "1e-2"]


def train(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture
def first(home: Path) -> bytes:
    """A user with texts and weights of a tiny model; the bytes of the weights file."""
    folder = corpus_folder()
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text(story_text(80).replace("<|endoftext|>", ""))
    vocabulary = Vocabulary([279, 39935, 11935, 7070])
    model = Transformer(TransformerConfig(vocabulary.size, 32, 1, 2, 32, 64))
    own_weights("en").parent.mkdir(parents=True)
    save_weights(own_weights("en"), Weights(model, vocabulary, "en", "MIT", "made by a test."))
    return own_weights("en").read_bytes()


def validations() -> list[float]:
    lines = (training_folder("en") / "log.jsonl").read_text().splitlines()
    return [v["bits_per_byte"] for v in map(json.loads, lines) if "bits_per_byte" in v]


def test_better_weights_take_the_place_of_those_in_use(first: bytes):
    result = train(*QUICK)
    assert result.exit_code == 0, result.output
    assert re.search(r"mine.txt: [\d,]+ characters", result.output)
    assert f"Starting from {own_weights('en')}." in result.output
    assert "24 steps" in result.output
    scores = validations()
    assert scores[-1] < scores[0] - 0.5
    assert f"from {scores[0]:.4f} to {min(scores):.4f} bits/byte" in result.output
    new = load_weights(own_weights("en"))
    assert new.provenance == "made by a test. Refreshed with texts of the user."
    assert new.bits_per_byte == pytest.approx(min(scores), abs=1e-4)
    (kept,) = previous(own_weights("en"))
    assert kept.path.read_bytes() == first
    check_report(result.output)
    left = {path.name for path in training_folder("en").iterdir()}
    assert left == {"log.jsonl", "report.html", "report.png"}


def check_report(output: str) -> None:
    """One page that needs nothing else, and a picture."""
    page = training_folder("en") / "report.html"
    assert f"Report: {page}" in output
    html = page.read_text()
    assert html.count("data:image/png;base64,") == 1
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(\w+:)""", html)
    assert set(links) == {"data:"}
    assert "<td>the old sailor</td>" in html
    assert html.count("<tr>") > 8  # five seeds and several validations
    assert (page.parent / "report.png").read_bytes().startswith(b"\x89PNG")


def test_worse_weights_replace_nothing(first: bytes):
    result = train(*QUICK, "--learning-rate", 3)
    assert result.exit_code == 0, result.output
    assert min(validations()) == validations()[0]
    assert "Nothing was better than before" in result.output
    assert own_weights("en").read_bytes() == first
    assert previous(own_weights("en")) == []


def test_a_stopped_training_goes_on(first: bytes):
    program = (
        "import os, signal\n"
        "from model.train.trainer import Trainer\n"
        "step = Trainer.train_step\n"
        "def stopping(self, *given):\n"
        "    if self.step == 9: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self, *given)\n"
        "Trainer.train_step = stopping\n"
        "from model.train.command import train as main\n"
        "main()"
    )
    command = [sys.executable, "-c", program, *QUICK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert stopped.returncode == 0, stopped.stderr
    assert "Stopped after step 10; the same command goes on." in stopped.stdout
    assert own_weights("en").read_bytes() == first
    result = train(*QUICK[2:])  # it remembers how many steps there are to be
    assert result.exit_code == 0, result.output
    assert f"Going on with the training in {training_folder('en')}" in result.output
    lines = (training_folder("en") / "log.jsonl").read_text().splitlines()
    steps = [entry["step"] for entry in map(json.loads, lines) if "loss" in entry]
    assert steps == list(range(1, 25))
    assert own_weights("en").read_bytes() != first


def test_the_shipped_weights_are_the_start_where_there_are_no_own(first: bytes):
    own_weights("en").unlink()
    result = train("--steps", 1, "--batch", 1, "--threads", 1, "--learning-rate", 1e-7)
    assert result.exit_code == 0, result.output
    assert f"Starting from {shipped_weights('en')}." in result.output


def test_without_texts_it_says_where_to_put_them(home: Path):
    result = train()
    folder = paths.data_folder() / "corpus"
    assert result.exit_code == 66
    assert f"There are no texts in {folder} yet" in result.stderr
    assert folder.is_dir()
    (folder / "short.txt").write_text("A fox. " * 50)
    short = train()
    assert (short.exit_code, "at least about 5,000" in short.stderr) == (66, True)


def test_two_do_not_train_the_same(first: bytes):
    path = training_folder("en").with_suffix(".lock")
    path.parent.mkdir(parents=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = train(*QUICK)
    assert (result.exit_code, "Another process trains" in result.stderr) == (77, True)
    assert not training_folder("en").exists()


@pytest.mark.parametrize("arguments", [["--out", "out"], ["--corpus", "a.txt"], ["a.txt"]])
def test_files_and_folder_belong_together(arguments: list[str], home: Path):
    result = train(*arguments)
    assert (result.exit_code, "Give both --corpus and --out" in result.stderr) == (2, True)


def test_books_are_cut_at_sentences():
    words = " ".join(f"Fox number {n} ran." for n in range(2000))
    pieces = cut([UserText(Path("a"), words), UserText(Path("b"), "One.\n\nTwo.")])
    assert "".join(pieces[:-1]).replace(" ", "") == words.replace(" ", "")
    assert pieces[-1] == "One.\n\nTwo."
    assert all(piece.endswith("ran.") and len(piece) <= 2000 for piece in pieces[:-1])
    assert len(pieces) > 15
