import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from config import paths
from config.languages import LANGUAGES
from model.checkpoints import fetched
from model.checkpoints.in_use import go_back
from model.checkpoints.store import (
    describe,
    find_weights,
    own_weights,
    previous,
    shipped_weights,
)
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights, load_weights, save_weights
from model.data.user_texts import UserText
from model.text.vocabulary import Vocabulary
from model.train.command import train as main
from model.train.refresh import corpus_folder, training_folder
from model.train.style.mix import cut
from model.train.trainer import Trainer
from model.transformer import Transformer, TransformerConfig
from tests.model.data.test_other_language import FRENCH
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
    save_weights(
        own_weights("en"),
        Weights(StoredModel.of(model), vocabulary, "en", "MIT", "made by a test."),
    )
    return own_weights("en").read_bytes()


def validations() -> list[float]:
    lines = (training_folder("en") / "log.jsonl").read_text().splitlines()
    return [v["bits_per_byte"] for v in map(json.loads, lines) if "bits_per_byte" in v]


def test_better_weights_take_the_place_of_those_in_use(first: bytes):
    large = fetched.folder_of("large") / "en.safetensors"
    large.parent.mkdir(parents=True)
    large.write_bytes(b"too large to train")
    fetched.choose("en", "large")
    result = train(*QUICK, "--weights", "small")
    assert result.exit_code == 0, result.output
    assert re.search(r"mine.txt: [\d,]+ characters", result.output)
    assert f"Starting from {own_weights('en')}." in result.output
    assert "24 steps" in result.output
    scores = validations()
    assert scores[-1] < scores[0] - 0.5
    new = load_weights(own_weights("en"))
    assert new.scores
    assert new.scores.own.after < new.scores.own.before - 0.5
    assert new.scores.plain.before != new.scores.own.before
    told = f"your held-out texts {new.scores.own}, plain language {new.scores.plain}.\n"
    assert told in result.output
    assert f"“{LANGUAGES['en'].report_seeds[0]}”\n    before: " in result.output
    assert new.provenance == "made by a test. Refreshed with texts of the user."
    assert new.bits_per_byte is None  # those of the average with the start are its scores
    assert new.manner == {"temperature_factor": 0.6}
    (kept,) = previous(own_weights("en"))
    assert kept.path.read_bytes() == first
    check_report(result.output)
    left = {path.name for path in training_folder("en").iterdir()}
    assert left == {"log.jsonl", "report.html", "report.png"}
    these = describe(own_weights("en")).name
    assert f"The weights large stay in use; `afterword weights use {these}`" in result.output
    assert large.read_bytes() == b"too large to train"


def check_report(output: str) -> None:
    """One page that needs nothing else, and a picture."""
    page = training_folder("en") / "report.html"
    assert f"Report: {page}" in output
    html = page.read_text()
    assert html.count("<svg role") == 2
    assert html.count("<b>before</b>") == len(LANGUAGES["en"].report_seeds) + 2
    assert "<td>your texts</td>" in html
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(\w+:)""", html) == []
    assert (page.parent / "report.png").read_bytes().startswith(b"\x89PNG")


def test_three_passes_end_it_however_slow_it_seemed_and_the_scoring_is_outside_the_clock(
    first: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "rehearse", lambda *_: 60.0)  # as under load
    validate = Trainer.validate

    def slow(trainer: Trainer) -> dict[str, Any]:
        time.sleep(1.5 * (trainer.step == 0))
        return validate(trainer)

    monkeypatch.setattr(Trainer, "validate", slow)
    result = train(*QUICK[2:], "--context", 32, "--batch", 16)
    assert result.exit_code == 0, result.output
    told = re.search(
        r"It stops after 30 minutes, in which it reads .* your texts and some of the starter "
        r"corpus.*, "
        r"at \d+ tokens a second here on 1 thread; `--minutes (\d+)` makes 3\.\d passes",
        result.output,
    )
    assert told, result.output
    lines = (training_folder("en") / "log.jsonl").read_text().splitlines()
    steps = [entry for entry in map(json.loads, lines) if "loss" in entry]
    assert 30 < len(steps) <= int(told[1])  # a minute each, it said
    assert len(validations()) == 9  # that before the training, and 8
    assert steps[0]["seconds"] < 1.5
    rates = [entry["rate"] for entry in steps]
    assert rates[0] <= 0.2 * max(rates)
    assert rates[-1] < 0.1 * max(rates)


def test_texts_in_another_language_are_told(first: bytes):
    (corpus_folder() / "conte.txt").write_text(FRENCH * 20)
    (corpus_folder() / "诗.txt").write_text("床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 30)
    result = train(*QUICK, "--steps", 1)
    assert result.exit_code == 0, result.output
    assert "诗.txt is in Chinese" in result.output
    assert "conte.txt is not in the language that is trained (en)" in result.output
    assert "mine.txt is" not in result.output


def test_worse_weights_replace_nothing(first: bytes):
    result = train(*QUICK, "--learning-rate", 3)
    assert result.exit_code == 0, result.output
    assert min(validations()) == validations()[0]
    assert "Nothing was better than before" in result.output
    assert "The same seeds before and after" not in result.output
    assert own_weights("en").read_bytes() == first
    assert previous(own_weights("en")) == []


def test_the_style_weighs_the_texts_against_plain_language(first: bytes):
    """Of the same texts, more is learnt at 1, and more of the starter corpus is known at 0."""
    own, plain = [], []
    for style in (0, 1):
        own_weights("en").write_bytes(first)
        result = train(*QUICK, "--style", style, "--steps", 60)
        assert result.exit_code == 0, result.output
        scores = load_weights(own_weights("en")).scores
        assert scores
        own.append(scores.own.after)
        plain.append(scores.plain.after)
    assert own[1] < own[0] - 0.2
    assert plain[0] < plain[1] - 0.1


def test_a_style_is_for_a_refresh(home: Path):
    result = train("--corpus", "a.txt", "--out", "out", "--style", 0.5)
    assert (result.exit_code, "there, give FILE@SHARE" in result.stderr) == (2, True)
    assert train("--style", 1.5).exit_code == 2


def test_it_stops_where_the_texts_are_learnt(first: bytes):
    """A rate that is far too high makes nothing better; --patience decides how long it is tried."""
    hopeless = (*QUICK, "--learning-rate", 3, "--steps", 80)
    assert train(*hopeless).exit_code == 0
    assert len(validations()) == 3  # before, and two of eight that were no better
    assert train(*hopeless, "--patience", 5).exit_code == 0
    assert len(validations()) == 6


def test_chinese_prose_is_learnt_alone(home: Path):
    corpus_folder().mkdir(parents=True)
    prose = "今天早上我去市场买菜，路上遇见一位多年没有见面的老同学，他说他刚从南方回来。"
    (corpus_folder() / "mine.txt").write_text(prose * 200)
    result = train("--language", "zh", *QUICK, "--steps", 2, "--batch", 1)
    assert result.exit_code == 0, result.output
    assert "prose is learnt from your texts alone" in result.output


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
    (training_folder("en") / "length.json").write_text("{")  # an older version's, damaged
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


def test_the_first_training_can_be_undone(first: bytes):
    """From the shipped weights' place; a tiny model's, as theirs take long to train."""
    own_weights("en").unlink()
    start = own_weights("en").with_name("start.safetensors")
    start.write_bytes(first)
    result = train(*QUICK, "--init-from", start)
    assert result.exit_code == 0, result.output
    assert "`afterword weights use --previous` goes back" in result.output
    assert go_back("en") == ["shipped"]
    assert find_weights("en", None) == shipped_weights("en")


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


def test_a_text_just_long_enough_is_trained_on(first: bytes):
    path = corpus_folder() / "mine.txt"
    for length in (5_000, 5_500, 6_000):
        path.write_text(story_text(80).replace("<|endoftext|>\n", "")[:length])
        result = train(*QUICK, "--steps", 1)
        assert result.exit_code == 0, result.output
    path.write_text(path.read_text()[:4_000])
    short = train(*QUICK, "--steps", 1)
    assert short.exit_code == 66
    assert re.search(
        rf"The texts in {corpus_folder()} hold 4,000 characters; at least about 5,000", short.stderr
    )


def test_a_folder_of_all_kinds_ends_well_and_tells_what_is_left_out(first: bytes):
    """Everything that people have in a folder, and some that they do not know of."""
    folder = corpus_folder()
    (folder / "blanks.txt").write_text("The fox." + " " * 1_000_000 + "The hen.")
    (folder / "transcript.txt").write_text("the fox ran over the hill " * 500)
    (folder / "mac.txt").write_bytes("“Fox,” said she.\rIt rained.\r".encode("mac_roman") * 20)
    (folder / "note.md").write_text("---\na: b\n---\n# Day\n\n| a |\n|---|\n| b |\n\nSee [[a|b]].")
    (folder / "page.html").write_text("<table><tr><td>1</td></tr></table><p>The fox.</p>")
    os.mkdir(os.fsencode(folder) + b"/F\xfcchse")  # noqa: PTH102
    shutil.copy(folder / "note.md", os.fsencode(folder) + b"/F\xfcchse/F\xfc.md")
    (folder / "circle").symlink_to(folder)
    os.mkfifo(folder / "fifo.txt")
    for n in range(12):
        (folder / f"bad{n}.txt").write_bytes(bytes(range(256)) * 9)
    for name in ("a.pdf", "b.pdf", "c.docx", "d"):
        (folder / name).touch()
    with zipfile.ZipFile(folder / "half.epub", "w") as book:
        book.writestr("a.xhtml", "<p>The fox ran away.</p>")
    (folder / "whole.epub").write_bytes((folder / "half.epub").read_bytes())
    (folder / "half.epub").write_bytes((folder / "half.epub").read_bytes()[:60])
    command = [sys.executable, "-m", "model.train", *QUICK, "--steps", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"mac\.txt: \d+ characters, read as Mac Roman", done.stdout)
    assert re.search(rf"Read 7 texts of [\d,]+ characters in {folder}\.", done.stdout)
    assert "Left out 15 files:" in done.stdout
    for n in range(12):
        assert f"{folder}/bad{n}.txt holds binary data, no text." in done.stdout
    assert f"{folder}/half.epub is no whole e-book" in done.stdout
    assert "Left out 4 files of other kinds: 2 .pdf, 1 .docx, 1 without a suffix;" in done.stdout
    assert "Report: " in done.stdout


def test_only_unusable_texts_are_an_error_with_all_reasons(home: Path):
    corpus_folder().mkdir(parents=True)
    (corpus_folder() / "a.txt").write_bytes(bytes(range(256)) * 9)
    (corpus_folder() / "b.epub").write_text("no book")
    result = train()
    assert result.exit_code == 66
    assert "a.txt holds binary data, no text. " in result.stderr
    assert "b.epub is no whole e-book (EPUB): File is not a zip file." in result.stderr
    assert result.stdout == ""
    for n in range(12):
        (corpus_folder() / f"bad{n}.txt").write_bytes(bytes(range(256)) * 9)
    result = train()
    assert all(f"bad{n}.txt holds" in result.stdout for n in range(12))


def test_without_the_packages_of_an_extra_other_texts_are_read(
    first: bytes, monkeypatch: pytest.MonkeyPatch
):
    (corpus_folder() / "note.md").write_text("A fox.")
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    result = train(*QUICK, "--steps", 1)
    assert result.exit_code == 0, result.output
    assert "Markdown files need markdown-it-py" in result.output
    (corpus_folder() / "mine.txt").unlink()
    assert train(*QUICK, "--steps", 1).exit_code == 5


def test_no_copy_of_the_texts_is_kept(first: bytes):
    result = train(*QUICK, "--steps", 1)
    assert result.exit_code == 0, result.output
    left = [path for path in training_folder("en").parent.rglob("*") if path.suffix == ".txt"]
    assert left == []


@pytest.mark.parametrize("arguments", [["--out", "out"], ["--corpus", "a.txt"], ["a.txt"]])
def test_files_and_folder_belong_together(arguments: list[str], home: Path):
    result = train(*arguments)
    assert (result.exit_code, "Give both --corpus and --out" in result.stderr) == (2, True)


def test_books_are_cut_at_sentences():
    words = " ".join(f"Fox number {n} ran." for n in range(2000))
    pieces = cut([UserText(Path("a"), words), UserText(Path("b"), "One.\n\nTwo.")])
    assert "".join(pieces[:-1]).replace(" ", "") == words.replace(" ", "")
    assert pieces[-1] == "One.\n\nTwo."
    assert all(piece.endswith("ran.") and len(piece) <= 800 for piece in pieces[:-1])
    assert len(pieces) > 15


@pytest.mark.parametrize("unit", ["the fox ran over the hill ", "那只狐狸走过雪地", "a"])
def test_a_text_without_punctuation_is_cut_at_blanks_or_anywhere(unit: str):
    text = unit * (100_000 // len(unit))
    pieces = cut([UserText(Path("a"), text)])
    assert all(len(piece) <= 800 for piece in pieces)
    assert len(pieces) >= 50
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece.split()[-1] in unit.split() for piece in pieces if " " in unit)


def test_a_damaged_log_costs_the_report_alone(first: bytes, monkeypatch: pytest.MonkeyPatch):
    validate = Trainer.validate

    def damaging(trainer: Trainer) -> dict[str, Any]:
        (training_folder("en") / "log.jsonl").write_text("damage\n")
        return validate(trainer)

    monkeypatch.setattr(Trainer, "validate", damaging)
    result = train(*QUICK)
    assert result.exit_code == 0, result.output
    assert "The new weights are in" in result.output
    assert re.search(r"No report: .*log\.jsonl is missing or no log of a training", result.output)
