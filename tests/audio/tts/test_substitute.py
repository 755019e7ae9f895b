"""A neural voice that fails: espeak-ng speaks its pieces, or all of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from audio.tts.engine import FAILURES, SpeechEngine
from audio.tts.sound import RATE
from config.errors import SpeechError

SENTENCE = "The quick brown fox jumped over the lazy dog and then went home to sleep."
Make = Callable[..., SpeechEngine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Build engines of hibari with espeak-ng behind them; `what` happens at the word snark."""
    engines: list[SpeechEngine] = []

    def build(what: str = "pass", before: str = "", **rest: object) -> SpeechEngine:
        script = tmp_path / "worker.py"
        script.write_text(
            "import os, sys, time\n"
            "from audio.tts import worker\n"
            "from audio.tts.drivers.neural import NeuralDriver\n"
            f"{before}\n"
            "original = NeuralDriver.synthesize\n"
            f"def patched(self, text):\n    if 'snark' in text: {what}\n"
            "    return original(self, text)\n"
            "NeuralDriver.synthesize = patched\n"
            "if __name__ == '__main__':\n"
            "    worker.main(sys.argv[1:])\n"
        )
        command = (sys.executable, "-P", str(script))
        substitute = SpeechEngine("en-us", 150, 0.9)
        engine = SpeechEngine(
            "hibari",
            150,
            0.9,
            substitute=substitute,
            command=command,
            **rest,  # type: ignore[arg-type]
        )
        engines.append(engine)
        return engine

    yield build
    for engine in engines:
        engine.close()


def by_espeak(text: str) -> int:
    with closing(SpeechEngine("en-us", 150, 0.9)) as engine:
        return len(engine.synthesize(text))


@pytest.mark.parametrize("before", ["sys.exit('no such library')", "raise ImportError('hibari')"])
def test_a_voice_that_does_not_start_is_replaced_by_espeak(
    make: Make, before: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(before=before)
    engine.start()
    assert engine.voice == "en-us"
    assert "hibari does not work; en-us speaks instead" in caplog.text
    assert len(engine.synthesize(SENTENCE)) == pytest.approx(by_espeak(SENTENCE), rel=0.02)


def test_a_piece_at_which_the_voice_crashes_is_spoken_by_espeak(make: Make) -> None:
    engine = make("os._exit(1)")
    pieces = dict(engine.stream(f"{SENTENCE} A snark is here. {SENTENCE}"))
    piece = next(piece for piece in pieces if "snark" in piece)
    assert len(pieces[piece]) == pytest.approx(by_espeak(piece), rel=0.2)
    assert (engine.voice, engine.restarts) == ("hibari", 1)


def test_what_was_to_be_spoken_is_in_no_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    engine = make("raise ValueError(text)")
    assert len(engine.synthesize("A snark is here.")) > RATE / 2
    assert "failed at a piece of text: its process has ended (ValueError in" in caplog.text
    assert "snark" not in caplog.text


def test_a_piece_at_which_the_voice_hangs_is_spoken_by_espeak(make: Make) -> None:
    engine = make("time.sleep(60)", answer_seconds=0.5)
    assert len(engine.synthesize("A snark is here.")) > RATE / 2
    assert engine.voice == "hibari"
    assert len(engine.synthesize(SENTENCE)) > 3 * RATE


def test_a_voice_that_always_fails_is_given_up(make: Make) -> None:
    engine = make("os._exit(1)")
    for _ in range(FAILURES):
        assert len(engine.synthesize("A snark is here.")) > RATE / 2
    assert engine.voice == "en-us"
    engine.check()
    assert len(engine.synthesize(SENTENCE)) > 3 * RATE


def test_a_check_restarts_the_voice(make: Make) -> None:
    engine = make()
    engine.start()
    assert engine._worker
    os.kill(engine._worker._process.pid, signal.SIGKILL)
    engine.check()
    assert (engine.voice, engine.restarts) == ("hibari", 1)


def test_closing_ends_both(make: Make) -> None:
    engine = make("os._exit(1)")
    engine.synthesize("A snark is here. And another one.")
    engine.close()
    with pytest.raises(SpeechError, match="closed"):
        engine.synthesize(SENTENCE)
    listing = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], text=True,
                             capture_output=True, check=False).stdout  # fmt: skip
    assert "worker" not in listing


def test_once_cancelled_it_returns_at_once_and_the_next_text_is_spoken_rightly(
    make: Make,
) -> None:
    engine = make("time.sleep(2)")
    engine.start()
    wanted = engine.synthesize(SENTENCE)
    begin = time.monotonic()
    text = "A snark is here."
    assert list(engine.stream(text, lambda: time.monotonic() - begin > 0.3)) == []
    assert time.monotonic() - begin < 1.5
    assert np.array_equal(engine.synthesize(SENTENCE), wanted)  # not what was cancelled
    assert engine.restarts == 0
