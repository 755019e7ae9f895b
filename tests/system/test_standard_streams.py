"""Afterword in scripts: text and sound on its standard streams, exit codes, `--quiet`."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

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


IN_MID_SPEECH = """
import os, pathlib, signal, sys
from config.load import load
from daemon.cli import say
from model.inference import loading

class Generator:
    def continue_text(self, seed, cancelled):
        yield "The old sailor looked at the sea."
        os.kill(os.getpid(), signal.SIGKILL)  # the sentence before has been spoken

loading.load_weights = lambda _: (Generator(), None)
say.continue_seed(
    load(environment={}).settings, "fox", pathlib.Path(sys.argv[1]), speech=True, quiet=True
)
"""


@pytest.mark.parametrize("out", ["-", "reply.wav"])
def test_a_kill_in_mid_speech_leaves_no_sound_on_the_disk(out: str, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", IN_MID_SPEECH, out]
    done = subprocess.run(
        command, capture_output=True, timeout=SECONDS, env=environment, cwd=tmp_path
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == b""
    assert list(tmp_path.rglob("*")) == [temporary]


def test_a_long_text_from_stdin_is_continued_at_its_end() -> None:
    end = "The green dragon opened the red door and said"
    long = f"{'The weather was fine. ' * 4000}{end}"
    kept = say_module_seed(long.encode())
    assert kept.endswith(end)
    assert kept.startswith(("The ", "weather ", "was ", "fine. "))
    assert saying.INPUT_CHARACTERS - 20 < len(kept) <= saying.INPUT_CHARACTERS
    first = say("-", "--no-speech", *SHORT, given=long.encode())
    second = say("-", "--no-speech", *SHORT, given=long[-5000:].encode())
    assert first.returncode == 0
    assert first.stdout == second.stdout


def say_module_seed(data: bytes, characters: int = saying.INPUT_CHARACTERS) -> str:
    """The seed that `say -` reads from this standard input."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        return saying.read_seed(characters)


@pytest.mark.parametrize(
    ("text", "seed"),
    [
        ("老人与海" * 10, "与海" + "老人与海" * 2),  # 10 characters
        ("one two three", "two three"),
        ("one three four", "three four"),
        ("old\n\nsailors sea", "sea"),
        ("\N{OLD ITALIC LETTER A}" * 20, "\N{OLD ITALIC LETTER A}" * 10),
        ("the old\r\nsea", "old\nsea"),
    ],
)
def test_a_seed_is_cut_at_a_word_and_between_characters(text: str, seed: str) -> None:
    assert say_module_seed(text.encode(), 10) == seed


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 2])
def test_characters_across_blocks_are_whole(size: int) -> None:
    text = "a" * size + "\n武海"
    assert say_module_seed(text.encode()).endswith("武海")
    with pytest.raises(errors.InputError, match=f"not UTF-8 at byte {size + 1};"):
        say_module_seed(text.encode()[:-4])


def test_an_endless_text_is_refused() -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as endless:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*COMMAND, "-", "--no-speech"],
            stdin=endless.stdout,
            capture_output=True,
            timeout=SECONDS,
            env=environment,
        )
        endless.kill()
    assert done.returncode == errors.InputError.exit_code
    assert b"longer than 64 MB" in done.stderr


def test_a_closed_standard_input_is_an_empty_seed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "-", "--no-speech"],
        capture_output=True,
        timeout=SECONDS,
        env=environment,
    )
    assert done.returncode == 2
    assert b"SEED holds no word" in done.stderr


def test_bytes_of_an_argument_that_are_no_text_are_replaced() -> None:
    done = say("caf\udce9", "--no-speech", *SHORT)
    assert (done.returncode, done.stderr) == (0, b"")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for arguments in (["voices", "--sample", "\udcff"], ["voices", "--language", "\udcff"]):
        command = [sys.executable, "-m", "daemon", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, env=environment)
        assert done.returncode == errors.ConfigError.exit_code
        assert b"\n" not in done.stderr.strip()


def test_a_recording_from_stdin_becomes_sound_on_stdout(vosk_en: Path) -> None:
    recording = (ROOT / "tests" / "recordings" / "one-breath.wav").read_bytes()
    command = [sys.executable, "-m", "daemon", "run", "--wav", "-", "--out", "-", *SHORT]
    command += ["--set", f"hearing.model={vosk_en}"]
    done = subprocess.run(
        command,
        input=recording,
        capture_output=True,
        timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    samples, rate = sf.read(io.BytesIO(done.stdout))
    assert rate == 22050
    assert np.abs(samples).max() > 0.1
    assert b"Afterword: " in done.stderr
    assert not Path("-").exists()


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
        (
            b"\xff\xfet\0h\0",
            ("-", "--no-speech"),
            errors.InputError.exit_code,
            "is UTF-16; convert",
        ),
        (b"t\0h\0e\0", ("-", "--no-speech"), errors.InputError.exit_code, "byte 1 is zero"),
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


def test_a_setting_that_the_locale_cannot_name_is_one_sentence(tmp_path: Path) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text("voice: {name: 武}", "utf-8")
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = say("fox", "--out", "-", "--config", str(settings), *SHORT, **ascii_locale)
    assert done.returncode == 1
    assert b"has no letters for '\\u6b66'; set LC_ALL=C.UTF-8." in done.stderr
    assert b"Traceback" not in done.stderr


def test_help_is_english_where_its_translation_cannot_be_shown() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LANGUAGE": "zh_CN", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "daemon", "--help"]
    for encoding, title in (("utf-8", "对话:"), ("iso8859-1", "Talk:")):
        shown = subprocess.run(
            command, capture_output=True, env={**environment, "PYTHONIOENCODING": encoding}
        )
        assert title in shown.stdout.decode(encoding)
