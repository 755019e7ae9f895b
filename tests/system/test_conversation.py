"""Conversations through virtual devices, the loudspeaker looped back into the microphone."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.tts.engine import SpeechEngine
from daemon.control import client
from tests.support.program import Running, started
from tests.support.sound_server import SoundServer

RECORDINGS = Path(__file__).parents[1] / "recordings"
LOOP_BACK_DB = -20.0
SILENT_SECONDS = 0.2
RESUMED = "user resumed speaking"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a WAV file for each phrase of the user."""
    folder = tmp_path_factory.mktemp("spoken")
    with closing(SpeechEngine("en-us+f3", 140, 0.9)) as engine:
        for text in ("hey computer", "go on", "stop"):
            name = text.replace(" ", "-")
            soundfile.write(folder / f"{name}.wav", engine.synthesize(text), engine.rate)
    return folder


@contextmanager
def answering(server: SoundServer, model: Path, max_sentences: int) -> Iterator[Running]:
    """A daemon that hears its own echo and has just begun its first reply."""
    server.loop_back(LOOP_BACK_DB)
    settings = (f"hearing.model={model}", f"model.max_sentences={max_sentences}")
    settings += ("log.level=debug", "model.random_seed=1")
    with started("run", *(part for one in settings for part in ("--set", one))) as daemon:
        daemon.wait_for("Listening.")
        server.play_into_microphone(RECORDINGS / "one-breath.wav")
        daemon.wait_for("thinking -> speaking")
        yield daemon


def say_over_reply(server: SoundServer, wav: Path, daemon: Running, effect: str) -> None:
    """Say a phrase until the log has its effect, as a user would: a reply drowns one in ten."""
    for _ in range(3):
        server.play_into_microphone(wav)
        time.sleep(1.5)
        if effect in daemon.log:
            break
    daemon.wait_for(effect)


def test_a_reply_is_interrupted_goes_on_is_stopped_and_never_wakes_itself(
    sound_server: SoundServer, spoken: Path, vosk_en: Path
) -> None:
    with answering(sound_server, vosk_en, max_sentences=20) as daemon:
        say_over_reply(sound_server, spoken / "hey-computer.wav", daemon, "speaking -> capturing")
        daemon.wait_for("capturing -> listening")
        time.sleep(0.6)  # a user speaks after the tone, not into it
        sound_server.play_into_microphone(spoken / "go-on.wav")
        daemon.wait_for("thinking -> speaking")
        say_over_reply(sound_server, spoken / "stop.wav", daemon, "speaking -> listening")
    assert daemon.log.count("trigger heard at") == 2, daemon.log
    assert daemon.log.count('"go on" heard at') == 1, daemon.log
    assert "turn 1 cancelled, " in daemon.log
    assert RESUMED not in daemon.log, daemon.log  # not by its own echo; see the test below


def test_a_reply_falls_silent_within_200_ms_in_mid_sentence(
    sound_server: SoundServer, vosk_en: Path
) -> None:
    """The best of three counts, for a busy machine is late with the sound or with its recording."""
    late = []
    settings = (f"hearing.model={vosk_en}", "log.level=debug", "model.random_seed=1")
    with started("run", *(part for one in settings for part in ("--set", one))) as daemon:
        daemon.wait_for("Listening.")
        for _ in range(3):
            with sound_server.recording() as recording:
                client.ask("say", seed="once upon a time there was a little fox")
                daemon.wait_for("thinking -> speaking")
                time.sleep(1.0)
                asked = time.monotonic()
                client.ask("hush")
                daemon.wait_for("speaking -> listening")
                time.sleep(0.7)
                assert len(recording.sounding(asked - 0.3)), "it was not speaking"
                late.append(recording.sounding(asked - 0.3)[-1] - asked)
            if late[-1] < SILENT_SECONDS:
                break
    assert "turn 1 cancelled, " in daemon.log
    assert min(late) < SILENT_SECONDS, late


def test_a_resumed_seed_is_answered_as_a_whole(
    sound_server: SoundServer, vosk_en: Path, tmp_path: Path
) -> None:
    sound, rate = soundfile.read(RECORDINGS / "pause.wav", dtype="int16")
    cut = round(3.97 * rate)  # the old man went / down to the river
    hesitant = np.concatenate([sound[:cut], np.zeros(round(1.9 * rate), np.int16), sound[cut:]])
    soundfile.write(tmp_path / "hesitant.wav", hesitant, rate)
    with answering(sound_server, vosk_en, max_sentences=1) as daemon:
        daemon.wait_for("speaking -> listening")  # its echo level is measured
        sound_server.play_into_microphone(tmp_path / "hesitant.wav")
        daemon.wait_for(RESUMED)
        daemon.wait_for("thinking -> speaking")
    heard = [line.partition("seed: ")[2] for line in daemon.log.splitlines() if "seed: " in line]
    assert heard[1] == "the old man went"
    assert heard[2].startswith("the old man went ")
    more = set(heard[2].split()[4:])  # words over the reply may be misrecognised in part
    assert len(more & {"down", "to", "the", "river"}) >= 2, heard
