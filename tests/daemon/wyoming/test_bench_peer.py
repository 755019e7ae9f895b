"""A client that nobody here wrote: `wyoming-bench`, against the real program and its real parts."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.wyoming.peers import free_port
from tests.support.program import ROOT, SECONDS, started

pytest.importorskip("wyoming_bench", reason="wyoming-bench is not installed")

RECORDING = ROOT / "tests" / "recordings" / "one-breath-man.wav"
SPOKEN = "hey computer once upon a time there was a little fox"
ONCE = ("--rounds", "1", "--warmup", "0")
BOTH_MODES = {("non_streaming", "1", "0"), ("streaming", "1", "0")}


def bench(*arguments: str | Path) -> str:
    """What it prints; it must succeed."""
    command = [sys.executable, "-m", "wyoming_bench.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * SECONDS)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def counts(printed: str) -> set[tuple[str, str, str]]:
    """For each mode, how often it succeeded and failed."""
    return set(re.findall(r"^\[(\w+)\] ok=(\d+) fail=(\d+)$", printed, re.M))


def test_info_speech_and_recognition_both_whole_and_streaming(
    vosk_en: Path, tmp_path: Path
) -> None:
    shutil.copy(RECORDING, tmp_path / "one.wav")
    (tmp_path / "one.txt").write_text(SPOKEN, "utf-8")
    address = f"127.0.0.1:{free_port()}"
    model = f"hearing.model={vosk_en}"
    with started("wyoming", "--uri", f"tcp://{address}", "--set", model) as running:
        running.wait_for("are served")

        told = bench("info", address)
        assert re.search(r"^ +asr .*\(transcript streaming\)$", told, re.M)
        assert re.search(r"^ +tts .*\(synthesize streaming\)$", told, re.M)
        assert re.search(r"^ +other +handle, wake$", told, re.M)

        spoken = bench("tts", address, *ONCE, "--texts", "The fox sat by the sea. It was cold.")
        assert counts(spoken) == BOTH_MODES
        for seconds in re.findall(r"Audio +mean=([\d.]+)s", spoken):
            assert 2 < float(seconds) < 20

        heard = bench("stt", address, *ONCE, "--corpus", tmp_path)
        assert counts(heard) == BOTH_MODES
        errors = re.findall(r"WER=([\d.]+)%", heard)
        assert len(errors) == 2
        assert all(float(percent) < 40 for percent in errors), heard
