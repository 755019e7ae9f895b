"""The neural voices keep the contract of pyttsx3, and the worker reads every script."""

import io
import subprocess
import sys
import threading
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio.tts.drivers import pyttsx3_neural
from audio.tts.drivers.neural import NeuralDriver
from audio.tts.sound import RATE
from config.errors import ConfigError

pytestmark = pytest.mark.slow
SENTENCE = "The quick brown fox jumped over the lazy dog."


@pytest.fixture
def engine() -> Any:
    import pyttsx3
    from pyttsx3.engine import Engine

    assert pyttsx3.init
    pyttsx3_neural.register()
    return Engine("neural")


def seconds(file: io.BytesIO) -> float:
    with wave.open(io.BytesIO(file.getvalue())) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, RATE)
        return wav.getnframes() / RATE


def within(limit_seconds: float, run: Any) -> None:
    """Run in a thread; a driver that breaks the order of startLoop and endLoop never returns."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_seconds)
    assert not thread.is_alive()


def test_many_runs_one_after_another_all_end(engine: Any) -> None:
    within(20, engine.runAndWait)
    engine.setProperty("voice", "hibari")
    within(20, engine.runAndWait)
    for _ in range(3):
        one, two = io.BytesIO(), io.BytesIO()
        engine.save_to_file(SENTENCE, one)
        engine.save_to_file(SENTENCE, two)
        within(20, engine.runAndWait)
        assert seconds(one) == seconds(two) > 2
        within(20, engine.runAndWait)


def test_events_come_in_order_and_errors_are_events(engine: Any, tmp_path: Path) -> None:
    events: list[str] = []
    for topic in ("started-utterance", "finished-utterance", "error"):
        engine.connect(topic, lambda topic=topic, **_: events.append(topic))
    engine.setProperty("voice", "hibari")
    engine.save_to_file(SENTENCE, str(tmp_path / "speech.wav"), "a name")
    within(20, engine.runAndWait)
    assert events == ["started-utterance", "finished-utterance"]
    assert (tmp_path / "speech.wav").stat().st_size > RATE
    engine.setProperty("pitch", 3)
    engine.setProperty("voice", "hibari:nobody")
    within(20, engine.runAndWait)
    assert events[2:] == ["error", "error"]
    assert engine.getProperty("voice") == "hibari"


def test_properties_take_effect_at_once(engine: Any) -> None:
    lengths = []
    engine.setProperty("voice", "hibari")
    for rate in (120, 240):
        file = io.BytesIO()
        engine.setProperty("rate", rate)
        engine.save_to_file(SENTENCE, file)
        within(20, engine.runAndWait)
        assert engine.getProperty("rate") == rate
        lengths.append(seconds(file))
    assert lengths[0] / lengths[1] == pytest.approx(2, rel=0.15)
    assert "hibari" in [voice.id for voice in engine.getProperty("voices")]


@pytest.fixture(scope="module")
def driver() -> NeuralDriver:
    return NeuralDriver("hibari", 150, 0.9)


def spoken(driver: NeuralDriver, text: str) -> np.ndarray:
    pieces = [driver.synthesize(piece) for piece in driver.split(text)]
    sounds = []
    for piece in pieces:
        with wave.open(io.BytesIO(piece)) as wav:
            sounds.append(np.frombuffer(wav.readframes(wav.getnframes()), np.int16))
    return np.concatenate([np.zeros(0, np.int16), *sounds])


@pytest.mark.parametrize(
    "text",
    [
        "你好，世界",
        "привет",
        "γειά σου",
        "안녕하세요",
        "こんにちは",
        "مرحبا",
        "नमस्ते",
        "1066",
        "ok",
        "a",
    ],
)
def test_no_word_is_silent(driver: NeuralDriver, text: str) -> None:
    assert len(spoken(driver, text)) > 0.15 * RATE
    assert np.abs(spoken(driver, text)).max() > 1000


@pytest.mark.parametrize("text", ["...", "—", "?!", "\"'"])
def test_marks_alone_are_silent(driver: NeuralDriver, text: str) -> None:
    assert not spoken(driver, text).any()


def test_other_scripts_within_english_are_spoken_by_espeak(driver: NeuralDriver) -> None:
    alone = len(spoken(driver, "She said and left."))
    mixed = len(spoken(driver, "She said 你好世界 and left."))
    assert mixed - alone > 0.5 * RATE


def test_the_pause_behind_a_piece_depends_on_its_mark(driver: NeuralDriver) -> None:
    def tail(mark: str) -> float:
        loud = np.flatnonzero(np.abs(spoken(driver, f"the old house{mark}")) > 300)
        return (len(spoken(driver, f"the old house{mark}")) - loud[-1]) / RATE

    assert tail("") < 0.1
    assert tail("") + 0.1 < tail(",") < tail(";") < tail(".")
    assert tail(".”") == pytest.approx(tail("."), abs=0.1)


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        NeuralDriver("hibari:nobody", 150, 0.9)


def test_the_worker_has_no_threads_that_spin() -> None:
    """One thread computes; while nothing is asked for, the process takes no processor time."""
    program = (
        "import os, time\n"
        "from audio.tts.drivers.neural import NeuralDriver\n"
        "driver = NeuralDriver('hibari', 150, 0.9)\n"
        "wall, cpu = time.monotonic(), time.process_time()\n"
        f"for _ in range(20): driver.synthesize({SENTENCE!r})\n"
        "print(len(os.listdir('/proc/self/task')), (time.process_time() - cpu)"
        " / (time.monotonic() - wall))\n"
        "cpu = time.process_time()\n"
        "time.sleep(1)\n"
        "print(time.process_time() - cpu, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    threads_and_load, idle = done.stdout.splitlines()
    assert float(threads_and_load.split()[1]) < 1.1
    assert float(idle) < 0.05
