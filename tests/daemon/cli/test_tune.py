"""Voices and `afterword tune`, with the real speech engine."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from config.languages import LANGUAGES
from config.load import load
from config.settings import VoiceSettings
from daemon.cli import tune
from daemon.cli.voices import sample_text
from tests.support.program import ROOT, afterword
from tests.support.sound_server import SoundServer


def test_voices_are_listed_and_the_one_in_force_is_marked() -> None:
    lines = afterword("voices", "--language", "en").out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["hibari"]
    assert any(line.split() == ["en-gb-scotland", "English", "(Scotland)"] for line in lines)
    assert not any("cmn" in line for line in lines)


def test_all_of_chinese_is_zh() -> None:
    names = [
        line.split()[0] for line in afterword("voices", "--language", "zh").out.splitlines()[:5]
    ]
    assert {"cmn", "yue"} <= set(names)


def test_a_language_without_a_voice_is_an_error() -> None:
    done = afterword("voices", "--language", "tlh")
    assert done.code == 78
    assert "'tlh'" in done.err
    assert "cmn, " in done.err


def seconds(path: Path) -> float:
    with wave.open(str(path)) as wav:
        return wav.getnframes() / wav.getframerate()


@pytest.mark.slow
def test_a_sample_goes_to_a_file(tmp_path: Path) -> None:
    out = tmp_path / "sample.wav"
    done = afterword("voices", "--sample", "en-gb-scotland", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert 2 < seconds(out) < 8


def test_a_sample_is_heard(sound_server: SoundServer) -> None:
    with sound_server.recording() as caught:
        done = afterword("voices", "--sample", "cmn", "--text", "你好")
        assert (done.code, done.err) == (0, "")
        assert np.abs(caught.samples()).max() > 1000


def test_a_wrong_voice_is_told_with_near_ones() -> None:
    done = afterword("voices", "--sample", "en-uss")
    assert done.code == 78
    assert "did you mean 'en-us'" in done.err


@pytest.mark.parametrize(
    ("voice", "language"),
    [("cmn+f2", "zh"), ("sit/yue", "zh"), ("en-us", "en"), ("de", "en")],
)
def test_a_voice_gets_a_sentence_that_it_can_read(voice: str, language: str) -> None:
    assert sample_text(voice) == LANGUAGES[language].sample_sentence


def answering(answers: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon", "tune", "--text", "A fox.", "--out", str(folder)],
        input=answers,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_answers_from_standard_input_end_in_the_settings(home: Path, tmp_path: Path) -> None:
    file = home / ".config" / "afterword" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# mine\nvoice:\n  rate_wpm: 150  # as Anna likes it\n")
    samples = tmp_path / "samples"
    # the second voice; slower, then again; keep; a wrong answer, then the first volume; yes
    done = answering("2\n1\n\nx\n1\ny\n", samples)
    assert done.returncode == 0, done.stderr
    assert "Saved. Run `afterword reload` to apply it." in done.stdout
    text = file.read_text()
    assert text.startswith("# mine\nvoice:\n  rate_wpm: 120  # as Anna likes it\n")
    voice = load(file, (), {}).settings.voice
    assert (voice.rate_wpm, voice.volume) == (120, 0.5)
    assert voice.name != "hibari"
    lengths = [seconds(next(samples.glob(f"0?-*-{rate}-90.wav"))) for rate in (120, 150, 180)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 1.2 * lengths[2]


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["2\nq\nn\n", "2\n"])
def test_without_a_yes_nothing_is_written(answers: str, home: Path, tmp_path: Path) -> None:
    done = answering(answers, tmp_path)
    assert not (home / ".config" / "afterword" / "config.yaml").exists()
    assert "Saved" not in done.stdout


VOICE = VoiceSettings(name="en-us", rate_wpm=100, volume=0.9, pause_seconds=0.3)


def test_each_choice_is_heard_in_the_next_question() -> None:
    heard: list[VoiceSettings] = []
    answers = iter(["2", "r", "1", "", "1"])
    chosen = tune.listen(["en-us", "cmn"], VOICE, heard.append, lambda _: next(answers))
    assert (chosen.name, chosen.rate_wpm, chosen.volume) == ("cmn", 80, 0.5)
    assert [voice.name for voice in heard] == ["en-us"] + ["cmn"] * (len(heard) - 1)
    assert [voice.rate_wpm for voice in heard[2:8]] == [80, 100, 130] * 2  # r: again
    assert [voice.rate_wpm for voice in heard[8:10]] == [80, 90]  # no slower than it can


def test_stopping_keeps_what_was_chosen() -> None:
    answers = iter(["2", "q"])
    chosen = tune.listen(["cmn"], VOICE, lambda _: None, lambda _: next(answers))
    assert dict(tune.changes(VOICE, chosen)) == {"voice.name": "cmn"}
