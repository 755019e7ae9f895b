"""Reloads of settings and weights in a running daemon, on real parts."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.errors import RefusedError
from daemon.control import client, protocol
from model.checkpoints.fetched import folder_of
from model.checkpoints.store import own_weights
from model.checkpoints.weights_file import publish_weights, save_weights
from tests.audio.tts.test_choice import install
from tests.model.made import small_weights
from tests.support.program import ROOT, Running, afterword, started
from tests.support.sound_server import SoundServer
from tests.system.test_exchange import FOX, RECORDINGS, speech_workers

TIMEOUT_SECONDS = 60.0


@pytest.fixture
def config(home: Path, vosk_en: Path) -> Path:
    path = home / ".config" / "afterword" / "config.yaml"
    path.parent.mkdir()
    write(path, vosk_en)
    return path


def write(path: Path, vosk: Path, **sections: object) -> None:
    """Write a settings file with these sections, a line each, over the defaults of these tests."""
    lines = {
        "hearing": {"model": str(vosk)},
        "log": {"level": "debug"},
        "model": {"max_sentences": 2, "max_new_tokens": 40},
        "voice": {"rate_wpm": 250},
        **sections,
    }
    path.write_text("\n".join(f"{name}: {json.dumps(value)}" for name, value in lines.items()))


@pytest.fixture
def daemon(config: Path, sound_server: SoundServer) -> Iterator[Running]:
    with started("run") as running:
        running.wait_for("Listening.")
        yield running


def status() -> Any:
    return client.ask("status")


def wait_until(key: str, wanted: object) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (found := status()[key]) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_changed_settings_are_applied_after_the_turn_in_progress(
    config: Path, vosk_en: Path, sound_server: SoundServer
) -> None:
    model = {"random_seed": 1, "max_sentences": 3}
    write(config, vosk_en, trigger={"phrases": ["good morning"]}, model=model)
    with started("run") as daemon:
        daemon.wait_for('Say "good morning"')
        client.ask("say", seed="the old sailor")
        daemon.wait_for("thinking -> speaking")
        workers = speech_workers()
        assert len(workers) == 1
        voice, model = {"name": "en-gb-scotland"}, {"max_sentences": 1, "random_seed": 1}
        history = {"enabled": True}
        write(config, vosk_en, audio={"input": "pulse"}, voice=voice, model=model, history=history)
        answer = client.ask("reload", wait="yes")
        changed = "trigger.phrases model.max_sentences voice.name voice.rate_wpm audio.input"
        assert set(answer["changed"]) == {*changed.split(), "history.enabled"}
        assert "later" not in answer
        assert status()["state"] == "speaking"
        assert workers < speech_workers()  # the new one waits beside it
        daemon.wait_for("speaking -> listening")
        first = status()["last_turn"]
        assert first["sentences"] > 1  # by the old settings
        assert first["outcome"] == "completed"

        sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")  # "hey computer"
        daemon.wait_for(f"seed: {FOX}")
        daemon.wait_for("speaking -> listening")
        found = status()
        assert found["last_turn"]["sentences"] <= 2  # one, perhaps in two parts
        assert found["voice"] == "en-gb-scotland"
        assert (found["phrases"], found["devices"]["input"]) == (["hey computer"], "pulse")
        assert FOX in afterword("history").out
        assert found["restarts"] == {"daemon": 0, "speech": 0, "microphone": 0}
        left = speech_workers()
        assert len(left) == 1
        assert not left & workers


BAD = [
    ("voice", {"rate": 100}, "unknown key voice.rate; did you mean voice.rate_wpm?"),
    ("voice", {"volume": 7}, "voice.volume should be a number from 0 to 1, not 7."),
    ("voice", {"name": "en-uss"}, "voice.name: 'en-uss' is no voice"),
    ("trigger", {"phrases": ["hey compooter"]}, "trigger.phrases: "),
    ("hearing", {"model": "/nowhere"}, "hearing.model names /nowhere"),
    ("model", {"weights": "/nowhere/en.safetensors"}, "The weights file /nowhere/en.safetensors"),
    ("audio", {"input": "an ear"}, "audio.input: 'an ear' is not the name of a microphone"),
    ("audio", {"output": "a horn"}, "audio.output: 'a horn' is not the name of a loudspeaker"),
]


def test_an_invalid_file_is_refused_with_its_line_and_changes_nothing(
    daemon: Running, config: Path, vosk_en: Path
) -> None:
    before = status()
    good = {"temperature": 0.1}
    for section, value, complaint in BAD:
        write(config, vosk_en, **{"model": good, section: value})
        line = 1 + [line.split(":")[0] for line in config.read_text().splitlines()].index(section)
        with pytest.raises(RefusedError) as refused:
            client.ask("reload", wait="yes")
        assert str(refused.value).startswith(f"{config}, line {line}: ")
        assert complaint in str(refused.value)
        assert str(refused.value).endswith("The old settings stay in force.")
        assert status()["refused"] == str(refused.value)
    now = status()
    for key in ("pid", "language", "phrases", "devices", "models", "weights", "voice"):
        assert now[key] == before[key]
    assert len(speech_workers()) == 1

    done = afterword("reload", "--wait")
    assert (done.code, done.out) == (RefusedError.exit_code, "")
    assert f"{config}, line " in done.err
    write(config, vosk_en, voice={"rate_wpm": 270})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("Changed: voice.rate_wpm.")
    assert status()["refused"] is None
    assert afterword("reload", "--wait").out == "No setting has changed.\n"


def test_sighup_while_loading_reloads_and_a_closed_terminal_ends_it(
    config: Path, sound_server: SoundServer
) -> None:
    with started("run") as daemon:
        while not protocol.socket_path().with_suffix(".lock").exists():
            time.sleep(0.01)
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("No setting has changed.")

    leader, terminal = pty.openpty()
    command = [sys.executable, "-m", "daemon", "run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env=environment,
    ) as process:
        os.close(terminal)
        said = b""
        while b"Listening." not in said:
            said += os.read(leader, 1000)
        os.close(leader)
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0


def test_a_reload_changes_the_language(
    daemon: Running, config: Path, vosk_en: Path, vosk_zh: Path
) -> None:
    write(config, vosk_zh, language="zh")
    answer = client.ask("reload")  # at once; a Vosk model takes half a second
    assert {"language", "hearing.model"} <= set(answer["changed"])
    assert answer["loading"] is True
    assert status()["reloading"] is True
    daemon.wait_for("The weights in use are now shipped")
    found = status()
    assert (found["language"], found["phrases"]) == ("zh", ["你好电脑"])
    assert found["voice"].startswith("cmn")
    assert found["models"]["hearing"] == str(vosk_zh)
    client.ask("say", seed="春")
    daemon.wait_for("speaking -> listening")
    assert re.search(r"[\u4e00-\u9fff]{2}", daemon.sentences())


def test_a_reload_changes_the_voice_engine_after_the_reply(
    daemon: Running, config: Path, vosk_en: Path
) -> None:
    assert status()["voice"] == "hibari"
    for name in ("en-us", "hibari"):
        client.ask("say", seed="the old sailor")
        daemon.wait_for("-> speaking")
        write(config, vosk_en, voice={"name": name, "rate_wpm": 250})
        client.ask("reload")
        daemon.wait_for(" completed, ")  # by the old one
        wait_until("voice", name)
        wait_until("reloading", False)
        assert len(speech_workers()) == 1
    assert status()["failures"] == 0


def test_a_voice_that_does_not_work_is_refused_and_the_old_one_stays(
    daemon: Running, config: Path, vosk_en: Path
) -> None:
    worker = speech_workers()

    def refuse(voice: str, complaint: str) -> None:
        write(config, vosk_en, voice={"name": voice})
        with pytest.raises(RefusedError, match="The old settings stay in force") as refused:
            client.ask("reload", wait="yes")
        assert str(refused.value).startswith(f"{config}, line 4: voice.name: ")
        assert complaint in str(refused.value)

    refuse("hibary", "did you mean 'hibari'")
    refuse("kokoro:af_heart", "`afterword voices fetch zh` fetches them")
    install("kokoro")  # of the right sizes, but no model
    refuse("kokoro:af_heart", "voice.name: ")
    assert status()["voice"] == "hibari"
    assert speech_workers() == worker


def test_a_reload_takes_the_voice_that_has_been_fetched(
    config: Path,
    vosk_zh: Path,
    vosk_en: Path,
    fetched_kokoro: Path,
    sound_server: SoundServer,
    home: Path,
) -> None:
    write(config, vosk_zh, language="zh")
    with started("run") as daemon:
        daemon.wait_for("Listening.")
        assert status()["voice"] == "cmn-latn-pinyin"
        voices = home / ".local" / "share" / "afterword" / "voices"
        voices.mkdir(parents=True)
        (voices / "kokoro").symlink_to(fetched_kokoro)
        client.ask("reload", wait="yes")
        daemon.wait_for("The voice kokoro:zf_xiaoxiao was tried again.")
        assert status()["voice"] == "kokoro:zf_xiaoxiao"
        client.ask("reload", wait="yes")
        daemon.wait_for("No setting has changed.")
        client.ask("say", seed="春")
        daemon.wait_for("speaking -> listening")
        write(config, vosk_en)
        client.ask("reload", wait="yes")
        assert status()["voice"] == "hibari"
        assert status()["failures"] == 0
        assert len(speech_workers()) == 1


def publish(training: str, language: str = "en", seed: int = 6) -> Path:
    """Weights of random numbers; with this seed, and with 7, they say something at their trial."""
    path = own_weights("en")
    weights = small_weights(language, seed)
    publish_weights(path, replace(weights, training=training, provenance=f"made by {training}"))
    return path


def test_new_weights_are_loaded_between_turns_and_can_be_undone(daemon: Running) -> None:
    """The weights are written as by a training run beside the daemon."""
    path = publish("first")
    daemon.wait_for("The weights in use are now en-")
    assert status()["models"]["weights"] == str(path)

    publish("second", seed=7)
    daemon.wait_for("The weights in use are now en-")
    listed = afterword("weights").out.splitlines()
    assert [line[0] for line in listed] == ["*", " ", " "]
    assert ["made by second" in listed[0], "made by first" in listed[1]] == [True, True]
    assert listed[2].startswith("  shipped")

    publish("third", "zh")
    daemon.wait_for('is of the language "zh", not "en"; use other weights')
    assert str(status()["refused"]).endswith("The old weights stay in use.")
    done = afterword("weights", "use", "--previous")
    assert (done.code, done.err) == (0, "")
    assert "The running daemon has looked at it." in done.out
    assert status()["refused"] is None
    assert "made by second" in afterword("weights").out.splitlines()[0]

    large = folder_of("large") / "en.safetensors"
    large.parent.mkdir(parents=True)
    save_weights(large, small_weights(seed=6))
    assert afterword("weights", "use", "large").code == 0
    assert status()["weights"]["name"] == "large"
    assert status()["models"]["weights"] == str(large)
    done = afterword("weights", "use", "--previous")
    assert done.code == 0, done.err
    assert status()["models"]["weights"] == str(path)
    daemon.wait_for("The weights in use are now en-")

    path.write_bytes(
        path.read_bytes()[:5000]
    )  # as if written in place, which the project never does
    daemon.wait_for("is no complete weights file")
    client.ask("say", seed="a fox")
    daemon.wait_for("-> listening")
    assert daemon.log.count("is no complete weights file") == 1  # not loaded again

    # A new process takes the previous weights. These are random: of some draws nothing remains.
    done = afterword("say", "a fox-", "--no-speech", "--set", "model.random_seed=0")
    assert done.code == 0, done.err
    assert "is no complete weights file" in done.err


def test_unknown_weights_are_refused_and_weights_of_the_settings_kept(tmp_path: Path) -> None:
    nothing = afterword("weights", "use", "--previous")
    assert "There are no previous weights" in nothing.err
    publish("first")
    wrong = afterword("weights", "use", "en-7")
    assert (wrong.code, 'No weights are called "en-7"' in wrong.err) == (65, True)
    assert "choose one of: shipped, small, auto." in wrong.err
    own = afterword("weights", "use", "shipped", "--set", "model.weights=/mine.safetensors")
    assert (own.code, "take model.weights out" in own.err) == (RefusedError.exit_code, True)
    back = afterword("weights", "use", "shipped")
    assert back.out == "shipped is in place.\nIt is used from the next start on.\n"
    assert [line[0] for line in afterword("weights").out.splitlines()] == [" ", "*"]
