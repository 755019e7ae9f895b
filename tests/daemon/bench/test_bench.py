"""The benches of the daemon at a small size: that they work, not their figures."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import ControlError, MissingPackageError
from config.installation import add_extra_command
from config.load import load
from daemon.bench import resumption, wyoming
from daemon.bench.command import Exchange, summary
from daemon.bench.echo import measure
from daemon.bench.usage import peak_mb, processor_seconds, require_psutil, resident_mb
from tests.support.program import afterword
from tests.support.sound_server import missing_programs

WAIT = "\nimport sys; sys.stdin.read()"  # until the test closes the pipe


def test_median_and_95th_percentile() -> None:
    exchanges = [Exchange(n / 100, n / 10, 0.5, True) for n in range(1, 41)]
    found = summary(exchanges)
    assert found["decision_to_sound"] == (0.205, 0.38)
    assert found["voice_to_sound"] == (2.05, 3.8)


def test_usage_of_a_process_is_measured() -> None:
    require_psutil()
    assert processor_seconds(os.getpid()) > 0
    assert resident_mb(os.getpid())[0] > 1


def test_usage_counts_child_processes_and_theirs() -> None:
    work = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work + WAIT!r}])"
    with subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while processor_seconds(process.pid) < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processor_seconds(process.pid) >= 0.3
        assert len(resident_mb(process.pid)) == 2
        assert 1 < resident_mb(process.pid)[0] <= peak_mb(process.pid)


def test_a_missing_psutil_is_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=re.escape(add_extra_command("bench"))):
        require_psutil()


def test_an_exchange_through_virtual_devices_is_measured(vosk_en: Path) -> None:
    if missing := missing_programs():
        pytest.skip(f"no virtual sound devices: {', '.join(missing)} not installed")
    options = ("--turns", "1", "--listen", "1", "--json", "--set", f"hearing.model={vosk_en}")
    done = afterword(*options, module="daemon.bench")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    (turn,) = found["answered"]
    assert turn["voice_to_sound"] > turn["decision_to_sound"] > 0
    assert turn["voice_to_decision"] > 0
    assert all(megabytes > 1 for megabytes in found["load"]["resident_mb"])


def test_cues_and_interruptions_are_measured(vosk_en: Path) -> None:
    if missing := missing_programs():
        pytest.skip(f"no virtual sound devices: {', '.join(missing)} not installed")
    options = ("--interruptions", "1", "--quiet", "1", "--json")
    done = afterword(*options, "--set", f"hearing.model={vosk_en}", module="daemon.bench")
    assert done.code == 0, done.err
    found = json.loads(done.out)["found"]
    ((cue,), (late,)) = found["decision_to_cue"], found["trigger_to_cue"]
    assert 0 < cue < late
    assert all(-1.5 < silent < 1.5 for silent in found["trigger_to_silence"])
    assert found["stop_to_silence"]


def test_a_reply_that_says_the_trigger_phrase_does_not_trigger_itself(vosk_en: Path) -> None:
    settings = load(None, ()).settings
    settings = replace(settings, hearing=replace(settings.hearing, model=str(vosk_en)))
    (result,) = measure(settings, [-20.0], replies=3)
    assert (result.replies, result.asked, result.woken) == (3, 1, 0)
    assert result.caught + result.hidden <= result.asked


def test_a_user_who_resumes_is_heard_over_the_reply_and_its_echo_is_not(vosk_en: Path) -> None:
    settings = load(None, ()).settings
    settings = replace(settings, hearing=replace(settings.hearing, model=str(vosk_en)))
    (result,) = resumption.measure(settings, [-20.0], count=4)
    assert (result.early, result.heard, result.finished, result.mistaken) == (2, 2, 2, 0)


def test_an_utterance_through_wyoming_is_measured(vosk_en: Path) -> None:
    pytest.importorskip("wyoming", reason="needs the extra wyoming")
    (passage,) = wyoming.measure(1, [f"hearing.model={vosk_en}", "model.max_sentences=1"])
    assert passage.voice_to_transcript >= wyoming.SILENCE_SECONDS
    assert passage.voice_to_transcript < passage.voice_to_sentence <= passage.voice_to_text
    assert passage.voice_to_text < passage.voice_to_sound < 60


def test_a_service_that_does_not_start_says_why() -> None:
    pytest.importorskip("wyoming", reason="needs the extra wyoming")
    with pytest.raises(ControlError, match=r"does not come up: .*model\.max_sentences"):
        wyoming.measure(1, ["model.max_sentences=none"])
