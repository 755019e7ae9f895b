"""Every user error gives one clear sentence and an exit code, without a traceback."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config import errors
from tests.support.program import Outcome, afterword

RECORDINGS = Path(__file__).parents[1] / "recordings"
FOX = RECORDINGS / "one-breath.wav"
WEIGHTS = Path(__file__).parents[2] / "model" / "weights" / "en.safetensors"


def check(done: Outcome, kind: type[errors.AfterwordError], *parts: str) -> None:
    """Check for one sentence that contains these parts, and the exit code of its kind."""
    assert done.code == kind.exit_code, done.err
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    assert re.match(r"afterword: .*[.?]$", lines[0]), done.err
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An earlier recording, which a failed run must not change."""
    path = tmp_path / "reply.wav"
    path.write_bytes(b"an earlier reply")
    return path


@pytest.mark.parametrize(
    ("wav", "parts"),
    [
        ("missing.wav", ("missing.wav", "does not exist")),
        ("not-a-wav.wav", ("not-a-wav.wav", "is not a sound file", "WAV or FLAC")),
        (".", ("is a folder",)),
        ("/dev/zero", ("/dev/zero", "is no regular file")),
    ],
)
def test_an_unreadable_recording_is_refused(wav: str, parts: tuple[str, ...], out: Path) -> None:
    done = afterword("run", "--wav", RECORDINGS / wav, "--out", out)
    check(done, errors.InputError, *parts)
    assert out.read_bytes() == b"an earlier reply"


def test_a_recording_of_one_sample_a_second_is_refused(tmp_path: Path) -> None:
    slow = tmp_path / "slow.wav"
    data = bytearray(FOX.read_bytes())
    data[24:28] = (1).to_bytes(4, "little")  # the header's sample rate
    slow.write_bytes(data)
    check(afterword("run", "--wav", slow), errors.InputError, "slow.wav", "1 samples a second")


@pytest.mark.parametrize("link", [False, True])
def test_the_reply_does_not_overwrite_the_recording(link: bool, tmp_path: Path) -> None:
    recording = tmp_path / "seed.wav"
    shutil.copy(FOX, recording)
    out = tmp_path / "link.wav" if link else recording
    if link:
        out.symlink_to(recording)
    done = afterword("run", "--wav", recording, "--out", out)
    check(done, errors.OutputError, "would overwrite the recording")
    assert recording.read_bytes() == FOX.read_bytes()


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("voice:\n  speed: 3\n", ("config.yaml, line 2", "unknown key voice.speed")),
        ("voice:\n  rate: fast\n", ("line 2", "did you mean voice.rate_wpm?")),
        ("voice:\n  rate_wpm: fast\n", ("line 2", "a whole number from 80 to 450", "'fast'")),
        ("model:\n  temperature: -1\n", ("line 2", "a number from 0 to 5", "-1")),
    ],
)
def test_an_invalid_settings_file_is_refused_with_line_and_remedy(
    content: str, parts: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(content)
    check(afterword("run", "--config", path), errors.ConfigError, *parts)


def test_missing_weights_are_named(out: Path) -> None:
    setting = "model.weights=/nowhere/en.safetensors"
    done = afterword("say", "a fox", "--out", out, "--set", setting)
    check(done, errors.WeightsError, "/nowhere/en.safetensors", "missing", "afterword train")
    assert out.read_bytes() == b"an earlier reply"


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "en.safetensors"
    path.write_bytes(WEIGHTS.read_bytes()[:1_000_000])
    done = afterword("say", "a fox", "--no-speech", "--set", f"model.weights={path}")
    check(done, errors.WeightsError, str(path), "no complete weights file")


def test_a_missing_vosk_model_is_named(out: Path) -> None:
    done = afterword("run", "--wav", FOX, "--out", out)  # the home of a test is empty
    check(done, errors.HearingModelError, "vosk-model-small-en-us-0.15", "models fetch")
    assert out.read_bytes() == b"an earlier reply"


def test_a_truncated_vosk_model_is_refused(home: Path, vosk_en: Path) -> None:
    folder = home / ".local/share/afterword/vosk" / "vosk-model-small-en-us-0.15"
    shutil.copytree(vosk_en, folder)
    graph = folder / "graph" / "HCLr.fst"
    graph.write_bytes(graph.read_bytes()[:1_000_000])
    check(afterword("run", "--wav", FOX), errors.HearingModelError, "HCLr.fst", "models fetch")
    done = afterword("models", "verify")
    check(done, errors.HearingModelError, "HCLr.fst", "models fetch")
    own = f"hearing.model={folder}"  # a folder of the user's own has no known sizes
    check(afterword("run", "--wav", FOX, "--set", own), errors.HearingModelError, str(folder))


def test_a_trigger_word_outside_the_vocabulary_is_refused(vosk_en: Path) -> None:
    settings = (f"hearing.model={vosk_en}", "trigger.phrases=[hey compooter]")
    done = afterword("run", "--wav", FOX, "--set", settings[0], "--set", settings[1])
    check(done, errors.ConfigError, "trigger.phrases", "compooter")


@pytest.mark.parametrize("name", ["en-uss", "en-us+f33"])
def test_an_unknown_voice_is_refused_with_a_suggestion(name: str, out: Path) -> None:
    done = afterword("say", "a fox", "--out", out, "--set", f"voice.name={name}")
    check(done, errors.ConfigError, "voice.name", name.rpartition("+")[2], "did you mean")
    assert out.read_bytes() == b"an earlier reply"


@pytest.mark.parametrize("path", ["/nowhere/reply.wav", "/proc/reply.wav", "."])
def test_an_unwritable_output_is_refused(path: str) -> None:
    check(afterword("say", "a fox", "--out", path), errors.OutputError, path)


def test_without_a_sound_server_the_missing_device_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    check(afterword("run"), errors.AudioDeviceError, "microphone")
    check(afterword("say", "a fox"), errors.AudioDeviceError, "loudspeaker", "--out")


def test_an_unknown_model_device_is_refused() -> None:
    done = afterword("say", "a fox", "--no-speech", "--set", "model.device=gpu9")
    check(done, errors.ConfigError, "model.device", "gpu9")


@pytest.mark.parametrize(
    "arguments", [("run", "--wave", "x"), ("sing",), ("models", "fetch", "fr")]
)
def test_a_wrong_command_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = afterword(*arguments)
    assert done.code == 2
    assert "Error: " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("seed", ["", "   ", "…", "🦊"])
def test_a_seed_without_a_word_is_a_usage_error(seed: str) -> None:
    done = afterword("say", seed, "--no-speech")
    assert (done.code, "holds no word" in done.err) == (2, True), done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["config", "say fox --no-speech"])
def test_a_full_standard_output_is_an_error(arguments: str) -> None:
    done = through_shell(f"{arguments} >/dev/full")
    check(done, errors.OutputError, "Standard output cannot be written")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_cause_no_error(closed: str, tmp_path: Path) -> None:
    out = tmp_path / "reply.wav"
    done = through_shell(f"say fox --out {out} --set model.max_sentences=1 {closed}")
    assert (done.code, done.err) == (0, "")
    assert out.read_bytes()[:4] == b"RIFF"
    assert len(out.read_bytes()) > 1000


def test_without_a_home_the_variables_to_set_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = ("unshare", "--user", "--map-user=12345")
    if shutil.which("unshare") is None or subprocess.run([*stranger, "true"]).returncode:
        pytest.skip("no user namespace can be made here")
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable)
    check(afterword("config", before=stranger), errors.ConfigError, "HOME", "XDG_CONFIG_HOME")


def through_shell(arguments: str) -> Outcome:
    """`afterword` with these arguments and redirections."""
    return afterword("-c", f'"{sys.executable}" -m daemon {arguments}', program="/bin/sh")
