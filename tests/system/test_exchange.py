"""An exchange on real parts: recording, Vosk, Transformer, voice, and a recording of the reply."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.tts.engine import COMMAND
from tests.support.program import Outcome, afterword, started
from tests.support.sound_server import SoundServer
from tests.support.words import heard, share_missing, words

RECORDINGS = Path(__file__).parents[1] / "recordings"
FOX = "once upon a time there was a little fox"
CHILDREN = "in the morning the children went to the park"
# Share of the printed words that recognition of the reply may miss. The small Vosk model missed 7 %
# of a reply at most, 2 % on average (twenty replies); with espeak-ng's voice 32 % and 15 %.
LOST = 0.1
# A fixed reply: a name that is not in Vosk's vocabulary must not fail the test.
FIXED = ("--set", "model.random_seed=1")


def exchange(recording: str, out: Path, vosk_en: Path, *more: str) -> Outcome:
    setting = f"hearing.model={vosk_en}"
    wav = RECORDINGS / recording
    return afterword("run", "--wav", wav, "--out", out, "--set", setting, *FIXED, *more)


def seconds(recording: Path) -> float:
    return float(soundfile.info(recording).duration)


def test_one_breath_is_heard_continued_and_spoken(tmp_path: Path, vosk_en: Path) -> None:
    out = tmp_path / "reply.wav"
    done = exchange("one-breath.wav", out, vosk_en)
    assert (done.code, done.seeds) == (0, [FOX]), done.err
    reply = done.replies[0]
    assert len(words(reply)) >= 10
    assert share_missing(reply, heard(out, vosk_en)) < LOST


def test_two_exchanges_in_one_file_are_both_answered(tmp_path: Path, vosk_en: Path) -> None:
    out = tmp_path / "reply.wav"
    done = exchange("two-exchanges.wav", out, vosk_en)
    assert (done.code, done.seeds) == (0, [FOX, CHILDREN]), done.err
    assert len(done.replies) == 2
    assert share_missing(" ".join(done.replies), heard(out, vosk_en)) < LOST


@pytest.mark.parametrize(
    ("recording", "seed"),
    [("stereo-44100.wav", FOX), ("clipped.wav", FOX), ("pause.wav", None)],
)
def test_stereo_clipped_and_hesitant_recordings_are_answered(
    recording: str, seed: str | None, tmp_path: Path, vosk_en: Path
) -> None:
    done = exchange(recording, tmp_path / "reply.wav", vosk_en, "--set", "model.max_sentences=1")
    assert done.code == 0, done.err
    assert done.seeds == [seed or "the old man went down to the river"]
    assert len(done.replies) == 1
    assert seconds(tmp_path / "reply.wav") > 0.3


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        ("no-trigger.wav", "No trigger phrase was heard in"),
        ("empty.wav", "No trigger phrase was heard in"),
        ("trigger-then-silence.wav", "but no words after it"),
    ],
)
def test_a_recording_without_a_seed_is_no_error(
    recording: str, sentence: str, tmp_path: Path, vosk_en: Path
) -> None:
    done = exchange(recording, tmp_path / "reply.wav", vosk_en)
    assert (done.code, done.out) == (0, "")
    assert sentence in done.err
    assert seconds(tmp_path / "reply.wav") == 0


def test_a_fixed_random_seed_repeats_the_story(tmp_path: Path) -> None:
    setting = ("--set", "model.random_seed=7", "--no-speech")
    first, second = (afterword("say", "the old sailor", *setting) for _ in range(2))
    assert first.out == second.out
    assert len(words(first.out)) >= 10


def test_a_chinese_seed_becomes_a_spoken_poem(tmp_path: Path) -> None:
    out = tmp_path / "poem.wav"
    done = afterword("say", "武", "--language", "zh", "--out", out, *FIXED)
    assert done.code == 0, done.err
    assert re.fullmatch(r"([\u4e00-\u9fff]+[，。！？；])+", done.out.strip()), done.out
    assert done.out.strip()[-1] in "。！？；"
    assert seconds(out) > 3


def test_say_speaks_what_it_prints(tmp_path: Path, vosk_en: Path) -> None:
    out = tmp_path / "reply.wav"
    done = afterword("say", "Once upon a time there was a fox", "--out", out, *FIXED)
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    assert share_missing(done.out, heard(out, vosk_en)) < LOST


def test_a_seed_from_the_microphone_is_answered_on_the_loudspeaker(
    sound_server: SoundServer, tmp_path: Path, vosk_en: Path
) -> None:
    """The recording is played into a virtual microphone, the reply recorded at the loudspeaker."""
    reply = tmp_path / "reply.wav"
    setting = ("--set", f"hearing.model={vosk_en}")
    with started("run", *setting, *FIXED, "--set", "log.level=debug") as daemon:
        daemon.wait_for("Listening.")
        with sound_server.recording() as recording:
            sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
            daemon.wait_for("thinking -> speaking")
            daemon.wait_for("speaking -> listening")
            recording.save(reply)
    assert f"seed: {FOX}" in daemon.log
    spoken = heard(reply, vosk_en)
    said = daemon.sentences()
    assert len(words(said)) >= 5
    assert share_missing(said, spoken) < LOST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_speech_ends_it_within_a_second(
    number: signal.Signals, sound_server: SoundServer, vosk_en: Path
) -> None:
    setting = ("--set", f"hearing.model={vosk_en}", "--set", "log.level=debug")
    with started("run", *setting) as daemon:
        daemon.wait_for("Listening.")
        with sound_server.recording() as recording:
            sound_server.play_into_microphone(RECORDINGS / "one-breath.wav")
            daemon.wait_for("thinking -> speaking")
            time.sleep(1.0)
            assert speech_workers(), "the speech engine has another name"
            begin = time.monotonic()
            daemon.process.send_signal(number)
            assert daemon.process.wait(5) == 0
            took = time.monotonic() - begin
            time.sleep(0.5)
            assert took < 1.0
            assert len(recording.sounding(begin - 1.0)), "it was not speaking"
            assert np.max(recording.sounding(begin - 1.0)) < begin + 1.0
    assert not speech_workers(), "the speech engine's process outlived the daemon"


def speech_workers() -> set[str]:
    """The process numbers of the speech engines with the home of this test."""
    found = subprocess.run(["pgrep", "-f", COMMAND[-1]], capture_output=True, text=True)
    home = f"HOME={os.environ['HOME']}"
    return {pid for pid in found.stdout.split() if home in environment_of(pid).split("\0")}


def environment_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text()
    except OSError:
        return ""


def empty_network() -> tuple[str, ...]:
    """The command that runs another without any network, not even loopback."""
    unshare = shutil.which("unshare")
    commands = [(unshare, "-n"), (unshare, "-rn")] if unshare else []
    for command in commands:
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    pytest.skip("no empty network namespace can be made here (unshare -n, unshare -rn)")


def test_everything_works_without_a_network(tmp_path: Path, vosk_en: Path) -> None:
    out = tmp_path / "reply.wav"
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(
        "\n<|endoftext|>\n".join(f"The {n}th fox ran to the river." * 9 for n in range(90))
    )
    isolated = empty_network()
    wav = RECORDINGS / "one-breath.wav"
    setting = f"hearing.model={vosk_en}"
    done = afterword("run", "--wav", wav, "--out", out, "--set", setting, before=isolated)
    assert (done.code, done.seeds) == (0, [FOX]), done.err
    assert seconds(out) > 1
    said = afterword("say", "the old sailor", "--out", out, before=isolated)
    assert said.code == 0, said.err
    training = ("--corpus", corpus, "--out", tmp_path / "weights", "--preset", "tiny")
    trained = afterword(*training, "--steps", "2", before=isolated, module="model.train")
    assert trained.code == 0, trained.err
    assert (tmp_path / "weights" / "en.safetensors").is_file()
