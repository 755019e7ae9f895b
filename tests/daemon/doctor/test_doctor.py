"""`afterword doctor`: the whole page on real parts, and each verdict at its edge."""

import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest

from audio.devices.selection import find_device
from audio.stt.careful import model_files
from config.errors import AudioDeviceError, SpeechError
from config.load import load
from config.settings import Settings
from daemon.doctor import environment, models, report, sound, voice
from daemon.doctor.finding import Finding, fault
from daemon.doctor.voice import Measurement
from daemon.loop.main_loop import MainLoop
from model.checkpoints import adapter_store
from model.checkpoints.adapters import save_adapter
from model.checkpoints.fetched import folder_of
from model.checkpoints.weights_file import load_weights, save_weights
from tests.daemon.control.test_control import serving
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.model.checkpoints.test_adapters import made_adapter
from tests.model.convert.foreign import foreign_weights
from tests.support.program import ROOT, afterword
from tests.support.sound_server import SoundServer

RATE = 16_000
RECORDING = ROOT / "tests" / "recordings" / "one-breath.wav"


@pytest.fixture
def settings(home: Path) -> Settings:
    return load(None, ()).settings


@pytest.fixture
def own_models(vosk_en: Path, home: Path) -> None:
    """The fetched Vosk model, seen from the home of the test."""
    folder = home / ".local" / "share" / "afterword" / "vosk"
    folder.mkdir(parents=True)
    (folder / vosk_en.name).symlink_to(vosk_en)


@pytest.mark.usefixtures("own_models")
def test_all_is_well_where_all_is_there(sound_server: SoundServer) -> None:
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            sound_server.play_into_microphone(RECORDING)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        with sound_server.recording() as caught:
            done = afterword("doctor", "--json")
            loud = np.abs(caught.samples()).max()
    finally:
        stop.set()
        talker.join()
    page = json.loads(done.out)
    levels = {finding["name"]: finding["level"] for finding in page["findings"]}
    assert levels.pop("weights") != "fault"  # a busy machine may be too slow to speak
    assert set(levels.values()) == {"ok"}, page
    assert done.code == report.EXIT_CODES[page["worst"]]
    assert set(levels) >= {"microphone", "speaker", "Vosk model", "trigger", "voice"}
    assert "Speak now" in done.err
    assert loud > 3000  # the tone was heard: a fifth of full scale


@pytest.mark.usefixtures("own_models")
def test_without_a_microphone_the_page_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    done = afterword("doctor")
    lines = done.out.splitlines()
    (microphone,) = [line for line in lines if line.split()[1] == "microphone"]
    assert microphone.startswith("FAIL")
    assert "connect one" in lines[lines.index(microphone) + 1]
    assert any(line.split()[:2] in (["ok", "weights"], ["look", "weights"]) for line in lines)
    assert "tokens a second" in done.out
    assert "\x1b" not in done.out  # no colours: this is no terminal
    assert done.code == 2
    assert "mend" in lines[-1]


def test_wrong_settings_are_one_red_line_among_others(home: Path) -> None:
    file = home / ".config" / "afterword" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("voice:\n  rate_wpm: 9000\n")
    findings = report.examine(None, (), None, sound=False)
    first = next(findings)
    assert (first.name, first.level) == ("settings", "fault")
    assert "line 2" in first.detail
    assert next(findings).name == "Python"


def test_a_renamed_key_is_accepted_with_a_hint(home: Path) -> None:
    first = next(report.examine(None, ["trigger.stop_phrases=[hush]"], None, sound=False))
    assert (first.name, first.level) == ("settings", "ok")
    assert first.detail.startswith("valid, 1 of ")
    assert first.remedy.endswith("trigger.stop_phrases is deprecated; rename it to commands.stop.")


def pcm(samples: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def tone(loudness: float) -> bytes:
    return pcm(loudness * np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE))


@pytest.mark.parametrize(
    ("pcm", "level", "word"),
    [
        (bytes(2 * RATE), "fault", "muted"),
        (tone(0.001), "warning", "no speech"),
        (tone(0.1), "ok", "peak -20 dB"),
        (pcm(np.clip(3 * np.sin(np.arange(2 * RATE) / 6), -1, 1)), "warning", "distorted"),
    ],
)
def test_the_level_of_a_microphone(pcm: bytes, level: str, word: str) -> None:
    finding = sound.judge_level(pcm)
    assert finding.level == level
    assert word in finding.detail


def test_a_level_as_a_bar() -> None:
    assert [sound.bar(level) for level in (-90, -60, -30, 0, 6)] == [
        *("..........", "..........", "#####.....", "##########", "##########")
    ]


def test_a_trigger_word_that_vosk_does_not_know(vosk_en: Path) -> None:
    flags = ["trigger.phrases=[hey xyzzyplugh]", f"hearing.model={vosk_en}"]
    finding = models.trigger(load(None, flags).settings)
    assert finding.level == "fault"
    assert "xyzzyplugh" in finding.detail


def test_a_missing_vosk_model_tells_how_to_fetch_it(settings: Settings) -> None:
    finding = models.vosk(settings)
    assert finding.level == "fault"
    assert "afterword models fetch en" in finding.remedy


def test_a_missing_careful_recogniser_tells_how_to_get_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.seed_words(settings).level == "ok"
    asked = load(None, ["hearing.seed=careful"]).settings
    monkeypatch.setattr(model_files, "find_spec", lambda _: object())
    finding = models.seed_words(asked)
    assert (finding.level, "afterword models fetch careful" in finding.remedy) == ("fault", True)
    monkeypatch.setattr(model_files, "find_spec", lambda _: None)
    finding = models.seed_words(asked)
    assert (finding.level, "faster-whisper" in finding.remedy) == ("fault", True)


def test_the_adapter_of_the_weights_is_told(home: Path) -> None:
    path = folder_of("tiny") / "en.safetensors"
    save_weights(path, foreign_weights())
    adapter = adapter_store.new_adapter("en", "tiny")
    save_adapter(adapter, made_adapter(load_weights(path)))
    adapter_store.put_in_place("en", "tiny", adapter.stem)
    finding = models.weights(load(None, ["model.weights=tiny"]).settings)
    assert finding.detail.startswith(f"tiny with the adapter {adapter.stem} ({path}), 0.1 million")
    adapter.write_bytes(b"damaged")
    finding = models.weights(load(None, ["model.weights=tiny"]).settings)
    assert (finding.level, str(adapter) in finding.detail) == ("fault", True)


def test_weights_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"no weights")
    finding = models.weights(load(None, [f"model.weights={path}"]).settings)
    assert finding.level == "fault"
    assert str(path) in finding.detail


def test_a_voice_that_is_none() -> None:
    finding = voice.voice(load(None, ["voice.name=en-uss"]).settings)
    assert finding.level == "fault"
    assert "en-us" in finding.remedy


def test_the_voice_is_measured() -> None:
    finding = voice.voice(load(None, []).settings)
    assert finding.level == "ok"
    told = r"hibari \(engine hibari\), 150 words a minute, started in \d+\.\d s, first sound of "
    assert re.match(rf"{told}eight words after \d+ ms$", finding.detail), finding.detail


def test_without_kokoro_the_doctor_tells_how_to_fetch_it() -> None:
    finding = voice.voice(load(None, ["language=zh"]).settings)
    assert finding.level == "ok"
    assert finding.detail.startswith("cmn-latn-pinyin (engine espeak-ng), 165 words a minute")
    assert finding.detail.endswith("; kokoro:zf_xiaoxiao is not fetched")
    assert finding.remedy.startswith("`afterword voices fetch zh` brings kokoro:zf_xiaoxiao")


def test_a_chosen_voice_that_is_not_fetched_is_a_fault() -> None:
    finding = voice.voice(load(None, ["voice.name=kokoro:af_heart"]).settings)
    assert (finding.level, finding.remedy) == ("fault", "`afterword voices fetch zh` fetches them")


def test_a_voice_of_another_language() -> None:
    finding = voice.voice(load(None, ["language=zh", "voice.name=Hibari"]).settings)
    assert finding.level == "warning"
    assert finding.detail.endswith("; it speaks en-us, but language is zh")
    assert "`afterword voices --language zh`" in finding.remedy


def test_a_voice_that_fails_at_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--voice=hibari' in sys.argv or '--voice=hibari' in sys.orig_argv:\n"
        "    from audio.tts.drivers.neural import NeuralDriver\n"
        "    NeuralDriver.synthesize = lambda *_: os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = voice.voice(settings)
    assert finding.level == "warning"
    assert "hibari does not work: it failed at a sentence" in finding.detail


GOOD = Measurement(first_sound=0.1, work=0.3, sound=2.0)


@pytest.mark.parametrize(
    ("measured", "level", "detail", "remedy"),
    [
        (GOOD, "ok", "first sound of eight words after 100 ms", ""),
        (replace(GOOD, work=1.59), "ok", "after 100 ms", ""),
        (replace(GOOD, work=1.7), "warning", "it takes 0.8 s for a second of speech", "en-us"),
        (replace(GOOD, sound=0.0), "fault", "hibari speaks no word", "`afterword voices` lists"),
    ],
)
def test_a_slow_or_silent_voice(
    measured: Measurement, level: str, detail: str, remedy: str, settings: Settings
) -> None:
    finding = voice.judge(settings, "hibari", None, 1.0, measured)
    assert finding.level == level
    assert detail in finding.detail
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("name", "failure", "reason", "remedy"),
    [
        ("hibari", "It hangs.", "hibari does not work: It hangs", "install Afterword again"),
        ("kokoro:af_heart", "It hangs.", "It hangs", "`afterword voices fetch zh` checks"),
        ("piper:/a.onnx", "It is old; take a new one.", "work: It is old", "take a new one"),
    ],
)
def test_another_voice_stands_in(name: str, failure: str, reason: str, remedy: str) -> None:
    settings = load(None, [f"voice.name={name}"]).settings
    finding = voice.judge(settings, "en-us", SpeechError(failure), 1.0, GOOD)
    assert finding.level == "warning"
    assert finding.detail.startswith("en-us (engine espeak-ng), 150 words a minute, started in 1.0")
    assert finding.detail.endswith(reason)
    assert remedy in finding.remedy


def test_a_data_folder_that_is_a_file(home: Path, settings: Settings) -> None:
    (home / ".local" / "share" / "afterword").write_text("in the way")
    finding = environment.folders(settings)
    assert finding.level == "fault"
    assert "share/afterword is no folder" in finding.detail


def test_a_runtime_folder_open_to_others(home: Path, settings: Settings) -> None:
    (home / "run" / "afterword").mkdir(mode=0o755)
    (home / "run" / "afterword").chmod(0o755)
    finding = environment.folders(settings)
    assert finding.level == "warning"
    assert f"chmod 700 {home}/run/afterword" in finding.remedy


def test_a_missing_package(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_required_packages", lambda: ["click", "no-such-package"])
    finding = environment.python(settings)
    assert (finding.level, finding.detail) == ("fault", "packages are missing: no-such-package")


def test_an_echo_cancelling_source(sound_server: SoundServer, settings: Settings) -> None:
    assert "no echo-cancelling" in sound.echo(settings).detail
    load_source = ("load-module", "module-remap-source", "master=mic_in.monitor")
    sound_server._run("pactl", *load_source, "source_name=echo-cancel-source")
    used = "the microphone echo-cancel-source cancels echo, and is used"
    assert sound.echo(settings).detail == used
    assert find_device("input", None).server_name == "echo-cancel-source"
    other = replace(settings, audio=replace(settings.audio, input="mic"))
    unused = sound.echo(other)
    assert (unused.level, unused.remedy) == (
        "warning",
        "set audio.input to echo-cancel-source, or to null",
    )


def test_a_daemon_started_by_hand_is_seen(settings: Settings) -> None:
    source = Source(1_000_000, live=True, seconds_each=0.05)
    with serving(MainLoop(source, Recognition({}), Generator(), SpeechOutput())):
        finding = environment.service(settings)
    assert finding.level == "ok"
    assert finding.detail.startswith("a daemon runs (")
    assert "afterword service install" in finding.remedy


def test_a_service_that_failed_is_red(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit_file = home / ".config" / "systemd" / "user" / "afterword.service"
    unit_file.parent.mkdir(parents=True)
    unit_file.write_text("[Service]\n")
    program = home / "bin" / "systemctl"  # answers as systemd does after a start that failed
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncase "$*" in *ActiveState*) echo failed;; *) echo;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    finding = environment.service(settings)
    assert (finding.level, finding.name) == ("fault", "service")
    assert "The service is failed" in finding.detail
    assert "journalctl --user -u afterword" in finding.remedy


def test_a_check_that_breaks_is_a_finding(settings: Settings) -> None:
    def broken(_: Settings) -> Finding:
        raise ImportError("libc is gone")

    finding = report._run(broken, settings)
    assert (finding.level, finding.detail) == ("fault", "ImportError: libc is gone")


def test_an_error_splits_into_what_and_remedy() -> None:
    error = AudioDeviceError("No microphone was found; connect one.")
    assert fault("microphone", error) == Finding(
        "microphone", "fault", "No microphone was found", "connect one"
    )


@pytest.mark.parametrize(
    ("levels", "code"), [(["ok"], 0), (["ok", "warning"], 1), (["fault", "warning", "ok"], 2)]
)
def test_the_worst_finding_is_the_exit_code(levels: list, code: int) -> None:
    findings = [Finding("thing", level, "seen") for level in levels]
    assert report.print_report(findings, as_json=False) == code


def test_colours_are_in_the_styled_line_only() -> None:
    line = report.as_text(Finding("thing", "fault", "broken", "mend it"))
    assert line.startswith("\x1b[31m")
    assert click.unstyle(line).split("\n")[0] == "FAIL  thing       broken"
    assert os.linesep not in click.unstyle(line).split("\n")[1]
