"""Afterword in scripts: text and sound on its standard streams, exit codes, `--quiet`."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from config import errors
from config.load import load
from daemon.cli import say as saying
from model.inference import loading
from tests.daemon.fakes import Generator
from tests.support.program import ROOT, SECONDS

COMMAND = (sys.executable, "-m", "daemon", "say")
SHORT = ("--set", "model.max_sentences=1", "--set", "model.random_seed=1")


def say(
    *arguments: str, given: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [*COMMAND, *arguments]
    return subprocess.run(
        command, input=given, capture_output=True, timeout=SECONDS, env=environment
    )


def test_text_from_stdin_becomes_sound_on_stdout() -> None:
    done = say("-", "--out", "-", *SHORT, given=b"the old\nsailor\n")
    assert done.returncode == 0, done.stderr
    samples, rate = sf.read(io.BytesIO(done.stdout))
    assert rate == 22050
    assert len(samples) > rate / 2
    assert np.abs(samples).max() > 0.1
    assert int.from_bytes(done.stdout[4:8], "little") == len(done.stdout) - 8  # all of it is WAV
    assert len(done.stderr.decode().split()) > 2  # the text


def test_quiet_prints_nothing() -> None:
    done = say("the old sailor", "--out", "-", "--quiet", *SHORT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"RIFF")


def test_text_from_stdin_becomes_text_on_stdout() -> None:
    first = say("-", "--no-speech", *SHORT, given=b"\xef\xbb\xbfthe old sailor")
    second = say("the old sailor", "--no-speech", *SHORT)
    assert (first.returncode, first.stderr) == (0, b"")
    assert first.stdout == second.stdout
    assert first.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    ("given", "arguments", "code", "told"),
    [
        (b"", ("-", "--no-speech"), 2, "SEED holds no word"),
        (b" ...\n", ("-", "--no-speech"), 2, "SEED holds no word"),
        (b"caf\xe9", ("-", "--no-speech"), errors.InputError.exit_code, "not UTF-8 at byte 3"),
        (b"", ("fox", "--no-speech", "--quiet"), 2, "--no-speech goes with neither"),
        (b"", ("fox", "--no-speech", "--out", "-"), 2, "--no-speech goes with neither"),
        (b"fox", ("-", "--daemon"), errors.NotRunningError.exit_code, "afterword run"),
    ],
)
def test_mistakes_have_exit_codes(
    given: bytes, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = say(*arguments, given=given)
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()


def test_a_model_that_says_nothing_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "load_weights", lambda _: (Generator([]), None))
    settings = load(environment={}).settings
    with pytest.raises(errors.GenerationError, match="nothing to say"):
        saying.continue_seed(settings, "fox", None, speech=False, quiet=False)
    assert capsys.readouterr().out == ""


def test_a_failure_writes_no_sound() -> None:
    done = say("fox", "--out", "-", "--set", "voice.name=nobody")
    assert (done.returncode, done.stdout) == (errors.ConfigError.exit_code, b"")


def test_a_closed_pipe_causes_no_traceback() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for more in (["--no-speech"], ["--out", "-"]):
        process = subprocess.Popen(
            [*COMMAND, "a fox", *SHORT, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(SECONDS) == 1
        assert "Traceback" not in told
        assert "Error" not in told


def test_no_sound_is_written_onto_a_terminal() -> None:
    import pty

    leader, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*COMMAND, "a fox", "--out", "-"]
    done = subprocess.run(
        command, stdout=terminal, stderr=subprocess.PIPE, timeout=SECONDS, env=environment
    )
    os.close(terminal)
    os.close(leader)
    assert done.returncode == 2
    assert b"onto the terminal" in done.stderr


def test_a_letter_that_the_terminal_cannot_show_is_escaped() -> None:
    given = ("武", "--language", "zh", "--no-speech", *SHORT)
    right = say(*given).stdout.decode().strip()
    done = say(*given, PYTHONIOENCODING="iso8859-1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii").encode().decode("unicode_escape").strip() == right


@pytest.mark.parametrize(
    "command",
    [
        ("daemon", "config", "--set", "voice.name=武"),
        ("daemon", "doctor", "--no-sound", "--set", "voice.name=武"),
        ("daemon", "say", "fox", "--out", "/武/x.wav"),
        ("daemon", "run", "--wav", "武.wav"),
        ("daemon", "武"),
        ("model.explain", "武", "--language", "zh"),
        ("model.evaluate", "武.txt"),
    ],
)
def test_no_command_ends_with_a_traceback(command: tuple[str, ...]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "iso8859-1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, timeout=SECONDS, env=environment
    )
    assert b"Traceback" not in done.stderr
    assert b"\\u6b66" in done.stdout + done.stderr


def test_help_is_english_where_its_translation_cannot_be_shown() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LANGUAGE": "zh_CN", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "daemon", "--help"]
    for encoding, title in (("utf-8", "对话:"), ("iso8859-1", "Talk:")):
        shown = subprocess.run(
            command, capture_output=True, env={**environment, "PYTHONIOENCODING": encoding}
        )
        assert title in shown.stdout.decode(encoding)
