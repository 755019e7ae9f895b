"""`afterword doctor --phrase`: from folders of recordings, and from voices of its own."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from audio.evaluation import synthetic_speech
from config.errors import ConfigError
from config.languages import LANGUAGES
from config.load import load
from config.settings import Settings
from daemon.cli.main import cli
from daemon.doctor import trigger_phrase

RECORDINGS = Path(__file__).parents[2] / "recordings"


@pytest.fixture
def settings(vosk_en: Path) -> Settings:
    return load(Path(os.devnull), [f"hearing.model={vosk_en}"], {}).settings


def folder(at: Path, *names: str) -> Path:
    at.mkdir()
    for name in names:
        (at / name).symlink_to(RECORDINGS / name)
    return at


def test_folders_are_played_and_counted(settings: Settings, tmp_path: Path) -> None:
    positives = folder(tmp_path / "yes", "trigger-then-silence.wav", "pause.wav")
    negatives = folder(tmp_path / "no", "no-trigger.wav", "one-breath.wav")
    lines = list(trigger_phrase.judge(settings, "hey computer", positives, [negatives]))
    assert lines[0] == '"hey computer": 4 syllables, no weakness in its words'
    assert str(positives) in lines[1]
    assert lines[2].startswith("clean: missed 0 of 2; 0.")
    assert [line.split(" missed")[0] for line in lines[3:5]] == ["10 dB babble:", "5 dB babble:"]
    assert lines[5].startswith("other speech: 1 false in 0.00 h")  # one-breath.wav holds it


def test_without_folders_voices_speak(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    english = replace(LANGUAGES["en"], evaluation_voices=("en-us", "en-gb-x-rp"))
    monkeypatch.setattr(synthetic_speech, "LANGUAGES", {"en": english})
    monkeypatch.setattr(synthetic_speech, "_SPEEDS_WPM", (130, 150))
    lines = list(trigger_phrase.judge(settings, "smart mirror", None, []))
    assert "weak: it has fewer than 4 syllables" in lines[0]
    assert lines[1].startswith("plays 4 recordings")
    assert "synthetic voices" in lines[1]
    assert lines[2].startswith("clean: missed 0 of 4")
    assert lines[5].startswith("other speech: 0 false")


def test_an_unknown_word_is_an_error_with_suggestions(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r'"komputer".*computer'):
        list(trigger_phrase.judge(settings, "hey komputer", None, []))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["doctor", "--positives", "x"], "go with --phrase"),
        (["doctor", "--phrase", "hey computer", "--json"], "do not go with --phrase"),
    ],
)
def test_options_that_do_not_go_together(args: list[str], says: str) -> None:
    from click.testing import CliRunner

    done = CliRunner().invoke(cli, args)
    assert done.exit_code == 2
    assert says in done.output
