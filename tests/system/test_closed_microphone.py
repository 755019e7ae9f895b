"""A microphone that is muted or lost and comes back, while something that began before goes on."""

import time
import wave
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import soundfile

from audio.tts.engine import SpeechEngine
from daemon.observers.recordings import captures_folder
from tests.audio.conftest import RECORDINGS
from tests.support.program import Running, afterword, started
from tests.support.sound_server import SoundServer

FOLLOW_UP_SECONDS = 6.0
AGAIN = '"again" heard at'


@pytest.fixture
def daemon(sound_server: SoundServer, vosk_en: Path) -> Iterator[Running]:
    settings = (
        *(f"hearing.model={vosk_en}", "model.max_sentences=1", "model.max_new_tokens=12"),
        *("captures.keep=5", f"conversation.follow_up_seconds={FOLLOW_UP_SECONDS}"),
    )
    with started("run", *(part for one in settings for part in ("--set", one))) as running:
        running.wait_for("Listening. Say")
        yield running


def mute(server: SoundServer, daemon: Running) -> None:
    assert (afterword("mute").code, afterword("unmute").code) == (0, 0)
    daemon.wait_for("Listening. Say")


def lose(server: SoundServer, daemon: Running) -> None:
    server.kill()
    daemon.wait_for("Waiting for it.")
    server.start()
    daemon.wait_for("The microphone is there")


@pytest.mark.parametrize("close", [mute, lose])
def test_again_needs_a_trigger_once_the_window_is_over_in_real_seconds(
    close: Callable[[SoundServer, Running], None],
    sound_server: SoundServer,
    daemon: Running,
    tmp_path: Path,
) -> None:
    with closing(SpeechEngine("en-us+m7", 150, 0.9)) as engine:
        soundfile.write(tmp_path / "again.wav", engine.synthesize("say it again"), engine.rate)
    assert afterword("say", "--daemon", "a fox").code == 0
    daemon.wait_for("turn 1 completed")
    sound_server.play_into_microphone(tmp_path / "again.wav")
    daemon.wait_for(AGAIN)
    daemon.wait_for("turn 2 completed")
    close(sound_server, daemon)
    time.sleep(FOLLOW_UP_SECONDS + 1)
    sound_server.play_into_microphone(tmp_path / "again.wav")
    time.sleep(3)
    assert daemon.log.count(AGAIN) == 1, daemon.log
    assert "turn 3" not in daemon.log


def test_a_capture_that_is_recorded_may_end_with_the_microphone(
    sound_server: SoundServer, daemon: Running
) -> None:
    def answers(turn: int) -> None:
        assert afterword("say", "--daemon", "a fox").code == 0
        daemon.wait_for(f"turn {turn} completed")

    with sound_server.playing_into_microphone(RECORDINGS / "trigger-then-silence.wav"):
        daemon.wait_for("trigger heard")
        mute(sound_server, daemon)
    answers(1)
    assert not captures_folder().exists()  # the capture was taken back, and a typed seed is silent
    with sound_server.playing_into_microphone(RECORDINGS / "trigger-then-silence.wav"):
        daemon.wait_for("trigger heard")
        lose(sound_server, daemon)
    (recording,) = captures_folder().glob("*.wav")
    with wave.open(str(recording)) as wav:
        assert wav.getnframes() > 16_000
    answers(2)
    assert len(list(captures_folder().iterdir())) == 1
