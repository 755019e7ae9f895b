"""A conversation through virtual devices, the loudspeaker looped into the microphone."""

from contextlib import closing
from pathlib import Path

import pytest
import soundfile

from audio.speech import SpeechEngine
from tests.program import started
from tests.sound_server import SoundServer

RECORDINGS = Path(__file__).parent / "recordings"
LOOP_BACK_DB = -20.0


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a WAV file for each thing that the user says."""
    folder = tmp_path_factory.mktemp("spoken")
    with closing(SpeechEngine("en-us+f3", 140, 0.9)) as engine:
        for text in ("hey computer", "go on", "stop"):
            name = text.replace(" ", "-")
            soundfile.write(folder / f"{name}.wav", engine.render(text), engine.rate)
    return folder


def test_a_reply_is_interrupted_goes_on_is_stopped_and_never_wakes_itself(
    sound_server: SoundServer, spoken: Path, vosk_en: Path
) -> None:
    sound_server.loop_back(LOOP_BACK_DB)
    settings = (f"hearing.model={vosk_en}", "log.level=debug", "model.max_sentences=20")
    flags = [part for setting in settings for part in ("--set", setting)]
    with started("run", *flags, "--set", "model.random_seed=1") as daemon:
        daemon.wait_for("Listening.")
        sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
        daemon.wait_for("thinking -> speaking")
        sound_server.play_into_microphone(spoken / "hey-computer.wav")
        daemon.wait_for("speaking -> capturing")
        daemon.wait_for("capturing -> listening")
        sound_server.play_into_microphone(spoken / "go-on.wav")
        daemon.wait_for("thinking -> speaking")
        sound_server.play_into_microphone(spoken / "stop.wav")
        daemon.wait_for("speaking -> listening")
    assert daemon.log.count("trigger heard at") == 2, daemon.log
    assert daemon.log.count('"go on" heard at') == 1, daemon.log
    assert "turn 1 cancelled, " in daemon.log
