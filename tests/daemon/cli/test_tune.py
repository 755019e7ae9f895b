"""Voices and `afterword tune`, with the real speech engine."""

import os
import subprocess
import sys
import time
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.tts.voices import Voice
from config.errors import SpeechError
from config.languages import LANGUAGES
from config.load import load
from config.settings import VoiceSettings
from daemon.cli import tune, voices
from tests.audio.tts.test_choice import install
from tests.support.program import ROOT, afterword
from tests.support.sound_server import SoundServer
from tests.system.test_exchange import speech_workers


def test_voices_are_listed_and_the_one_in_force_is_marked() -> None:
    lines = afterword("voices", "--language", "en").out.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["hibari"]
    scottish = ["en-gb-scotland", "en-gb-scotland", "English", "(Scotland)"]
    assert any(line.split() == scottish for line in lines)
    assert not any("cmn" in line for line in lines)


def test_all_of_chinese_is_zh() -> None:
    lines = afterword("voices", "--language", "zh").out.splitlines()
    names = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {"cmn", "yue"} <= names
    assert not any("hibari" in line for line in lines)


LISTED = [
    Voice("hibari", "Heart", "en-us", "hibari", "Apache-2.0"),
    Voice("kokoro:af_heart", "Heart", "en-us", "kokoro", "Apache-2.0 and MIT"),
    Voice("kokoro:zf_xiaoxiao", "Xiaoxiao", "cmn", "kokoro", "Apache-2.0 and MIT"),
    Voice("piper:/Ann/Zh.onnx", "Ann", "zh-CN", "piper", "MIT"),
    Voice("gmw/en-US", "English", "en-us"),
    Voice("sit/cmn", "Mandarin", "cmn"),
]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio.tts.engine.installed_voices", lambda: (LISTED, ["m1", "f3"]))


def shown(capsys: pytest.CaptureFixture[str], language: str | None, *flags: str) -> list[str]:
    voices.show(load(flags=flags, environment={}).settings, language)
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("listed")
def test_voices_are_listed_by_engine_and_language(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, None, "voice.name=EN-us+f3")
    assert lines[:13] == [
        "hibari (Apache-2.0)",
        "  hibari              en-us  Heart",
        "",
        "kokoro (Apache-2.0 and MIT)",
        "  kokoro:zf_xiaoxiao  cmn    Xiaoxiao",
        "  kokoro:af_heart     en-us  Heart",
        "",
        "piper (MIT)",
        "  piper:/Ann/Zh.onnx  zh-CN  Ann",
        "",
        "espeak-ng (GPL-3.0-or-later)",
        "  cmn                 cmn    Mandarin",
        "* en-us               en-us  English",
    ]
    assert lines[14:17] == ["Variants of espeak-ng, such as en-us+f3:", "f3, m1", ""]
    assert all(line[:1] not in (" ", "*") for line in lines[13:])


@pytest.mark.usefixtures("listed")
def test_a_language_is_looked_for_in_every_engine(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "zh")
    names = [line.split()[0] for line in lines if line.startswith(("  ", "* "))]
    assert names == ["kokoro:zf_xiaoxiao", "piper:/Ann/Zh.onnx", "cmn"]
    assert "`afterword voices fetch zh` brings Kokoro-82M (zh and en; 90 MB)." in lines
    assert "A Piper voice of yours: voice.name is piper:/path/to/voice.onnx." in lines


@pytest.mark.usefixtures("listed")
def test_variants_are_espeaks_alone_and_only_what_is_missing_is_offered(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert any("Variants" in line for line in shown(capsys, "en"))
    lines = shown(capsys, "zh-cn", "voice.name=piper:/nowhere.onnx")
    assert not any("Variants" in line for line in lines)
    assert "voice.name is piper:/nowhere.onnx, which is not in this list." in lines
    install("kokoro")
    assert not any("fetch zh" in line for line in shown(capsys, "en"))


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(("is_fetched", "used"), [(False, "cmn"), (True, "kokoro:zf_xiaoxiao")])
def test_the_star_is_at_the_voice_that_speaks(
    is_fetched: bool, used: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chinese = replace(LANGUAGES["zh"], espeak_voice="cmn")
    monkeypatch.setattr("audio.tts.choice.LANGUAGES", {"zh": chinese})
    if is_fetched:
        install("kokoro")
    lines = shown(capsys, None, "language=zh")
    assert [line.split()[1] for line in lines if line.startswith("*")] == [used]


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
    for wrong, right in (("en-uss", "en-us"), ("hibary", "hibari")):
        done = afterword("voices", "--sample", wrong)
        assert done.code == 78
        assert f"{wrong!r} is no voice of the speech engine; did you mean '{right}'" in done.err


@pytest.mark.parametrize("name", ["kokoro:zf_xiaoxiao", "Kokoro:nobody"])
def test_a_sample_of_a_voice_that_is_not_fetched_tells_how_to_fetch_it(name: str) -> None:
    done = afterword("voices", "--sample", name, "--set", "language=zh")
    assert done.code == 78
    told = f"{name!r} are not here; `afterword voices fetch zh` fetches them."
    assert done.err.strip().endswith(told)


def test_a_sample_is_never_spoken_by_another_voice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hibari.py").write_text("raise SystemExit('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "out.wav"
    with pytest.raises(SpeechError, match="no such library"):
        voices.speak(load(environment={}).settings, "hibari", "A fox.", out)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", [" Hibari ", "cmn-latn-pinyin+f2"])
def test_a_sample_in_the_language_of_the_voice(name: str, tmp_path: Path) -> None:
    out = tmp_path / "sample.wav"
    done = afterword("voices", "--sample", name, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert 2 < seconds(out) < 8


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


@pytest.mark.parametrize(
    ("language", "first"),
    [
        ("en", ["hibari", "kokoro:af_heart", "en-us", "en-us+f3"]),
        ("zh", ["kokoro:zf_xiaoxiao", "cmn-latn-pinyin"]),
    ],
)
def test_candidates_are_the_installed_voices_of_every_engine(
    language: str, first: list[str]
) -> None:
    listed = [*LISTED, Voice("sit/cmn-Latn-pinyin", "Mandarin", "cmn-latn-pinyin")]
    assert tune.candidates(language, listed, ["f3"]) == first


def test_the_next_samples_are_prepared_before_the_first_is_played() -> None:
    done: list[str] = []
    tune.listen(
        ["cmn"],
        VOICE,
        lambda voice: done.append(f"play {voice.name}"),
        lambda _: "q",
        lambda voices: done.append(f"prepare {' '.join(voice.name for voice in voices)}"),
    )
    assert done == ["prepare en-us cmn", "play en-us", "play cmn"]


def test_a_voice_that_fails_is_told_and_the_others_are_played(
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard: list[str] = []

    def play(voice: VoiceSettings) -> None:
        if voice.name == "hibari":
            raise SpeechError("It does not start.")
        heard.append(voice.name)

    answers = iter(["3", "q"])
    chosen = tune.listen(["hibari", "cmn"], VOICE, play, lambda _: next(answers))
    assert chosen.name == "cmn"
    assert heard[:2] == ["en-us", "cmn"]
    assert "It does not start." in capsys.readouterr().err


@pytest.mark.slow
def test_samples_of_neural_voices_differ_in_rate_and_volume(tmp_path: Path) -> None:
    settings = load(environment={}).settings
    slow, soft = replace(settings.voice, rate_wpm=90), replace(settings.voice, volume=0.2)
    with tune.SamplePlayer(
        settings, LISTED, "A little fox lived near the sea.", tmp_path
    ) as player:
        player.prepare([settings.voice, slow, soft])
        for voice in (settings.voice, slow, soft):
            player.play(voice)
    files = sorted(tmp_path.glob("*.wav"))
    assert [file.name for file in files] == [
        *("01-hibari-150-90.wav", "02-hibari-90-90.wav", "03-hibari-150-20.wav")
    ]
    sounds = [soundfile.read(file)[0] for file in files]
    assert len(sounds[1]) > 1.3 * len(sounds[0])
    assert len(sounds[2]) == pytest.approx(len(sounds[0]), rel=0.1)
    assert np.abs(sounds[2]).max() < 0.4 * np.abs(sounds[0]).max()


@pytest.mark.slow
def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    settings = load(environment={}).settings
    with tune.SamplePlayer(settings, LISTED, None, tmp_path) as player:
        player.prepare([settings.voice, replace(settings.voice, rate_wpm=90)])
        while not speech_workers():
            time.sleep(0.01)
    assert not speech_workers()
