"""The files of history and debug recordings; none are written by default."""

import json
import os
import stat
import time
import wave
from pathlib import Path

import pytest

from audio.events import Event, NoSpeech, Seed, Triggered
from audio.pcm import AudioChunk
from config.load import load
from daemon.components import open_observers
from daemon.loop.main_loop import MainLoop
from daemon.loop.options import LoopOptions
from daemon.observers.history import History, as_text, history_file, newest_lines, read
from daemon.observers.recordings import DebugRecordings, captures_folder, expire
from tests.daemon.fakes import Generator, Recognition, Source, SpeechOutput
from tests.daemon.loop.running import ask, running, wait_until
from tests.support.program import afterword


def exchange(text: str) -> list[Event]:
    return [Triggered("hey computer", 0.1), Seed(text, 0.2)]


def serve(*flags: str, script: dict[int, list[Event]]) -> None:
    observers = open_observers(load(None, flags).settings)
    options = LoopOptions(observers=observers)
    MainLoop(Source(60), Recognition(script), Generator(), SpeechOutput(), options=options).run()


SCRIPT = {2: exchange("a fox"), 4: [Triggered("hey computer", 0.3), NoSpeech("silence")],
          8: exchange("乌鸦 \ud83d")}  # fmt: skip


def test_nothing_is_written_by_default(home: Path) -> None:
    serve(script=SCRIPT)
    assert [path for path in home.rglob("*") if path.is_file()] == []
    done = afterword("history")
    assert (done.code, done.out) == (0, "")
    assert "history: {enabled: true}" in done.err


def test_the_history_is_private() -> None:
    began = time.time()
    serve("history.enabled=true", script=SCRIPT)
    first, second = read(history_file())
    assert (first["seed"], first["reply"], first["outcome"]) == ("a fox", ["One.", "Two."],
                                                                "completed")  # fmt: skip
    assert isinstance(first["time"], float)
    assert began - 1 < first["time"] < time.time() + 1
    assert str(second["seed"]).startswith("乌鸦")
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(history_file().parent.stat().st_mode) == 0o700
    assert not captures_folder().exists()


def test_the_command_prints_and_clears_the_history() -> None:
    serve("history.enabled=true", script=SCRIPT)
    lines = afterword("history").out.splitlines()
    assert lines[0].endswith("You:       a fox")
    assert lines[1].strip() == "Afterword: One. Two."
    first = afterword("history", "--json").out.splitlines()[0]
    assert json.loads(first)["seed"] == "a fox"
    assert afterword("history", "--clear").code == 0
    assert not history_file().exists()


def note(history: History, text: str, turn: int, outcome: str | None = "completed") -> None:
    history.on_event({"event": "seed", "turn": turn, "time": 1.5, "text": text})
    history.on_event({"event": "sentence", "turn": turn, "time": 2.5, "text": "Yes."})
    if outcome:
        history.on_event({"event": "ended", "turn": turn, "time": 3.5, "outcome": outcome})


def test_the_oldest_exchanges_are_deleted_at_the_size_limit(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    history = History(file, 2000)
    for turn in range(200):
        note(history, f"seed {turn}", turn)
        assert file.stat().st_size <= 2000
    seeds = [entry["seed"] for entry in read(file)]
    assert seeds == [f"seed {turn}" for turn in range(200 - len(seeds), 200)]
    assert len(seeds) > 8
    note(history, "x" * 3000, 200)  # larger than the limit
    assert [entry["seed"] for entry in read(file)] == seeds


def test_a_reply_that_never_ends_is_written_as_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    history = History(file, 2000)
    note(history, "a fox", 1, None)
    note(history, "a crow", 2, None)
    history.close()
    history.close()
    assert [(e["seed"], e["reply"], e["outcome"]) for e in read(file)] == [
        ("a fox", ["Yes."], "cancelled"),
        ("a crow", ["Yes."], "cancelled"),
    ]


def test_damaged_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    note(History(file, 2000), "a fox", 1)
    file.write_bytes(b'\xff\n{"time": 1\n[]\n{}\n' + file.read_bytes() + b'{"time"')
    assert [entry["seed"] for entry in read(file)] == ["a fox"]
    assert "You:       a fox" in as_text({"time": "soon", "seed": "a fox", "reply": None})


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_the_history_is_written_to_a_regular_file_only(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = tmp_path / "history.jsonl", tmp_path / "mine.txt"
    other.write_text("mine\n" * 1000)
    {"link": lambda: file.symlink_to(other), "pipe": lambda: os.mkfifo(file)}.get(
        kind, file.mkdir
    )()
    history = History(file, 2000)
    for turn in (1, 2):
        note(history, "a fox", turn)
    assert other.read_text() == "mine\n" * 1000
    assert len(caplog.messages) == 1
    reason = {"link": "a symbolic link; remove it", "pipe": "not a regular file; remove it"}
    assert reason.get(kind, "Is a directory") in caplog.text


@pytest.mark.parametrize(
    ("size", "kept"),
    [(0, b""), (-3, b""), (1, b""), (4, b"c\n"), (5, b"b\nc\n"), (9, b"aaaa\nb\nc\n")],
)
def test_newest_lines(size: int, kept: bytes) -> None:
    assert newest_lines(b"aaaa\nb\nc\n", size) == kept


def wavs() -> list[Path]:
    return sorted(captures_folder().glob("*.wav"))


def test_the_latest_captures_are_written_as_wav_files() -> None:
    serve("captures.keep=2", script={2: exchange("a"), 10: exchange("b"), 20: [SCRIPT[4][0]],
                                     50: [NoSpeech("silence")]})  # fmt: skip
    assert len(wavs()) == 2
    with wave.open(str(wavs()[-1])) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        assert wav.getnframes() == 50 * 1280
    assert stat.S_IMODE(wavs()[0].stat().st_mode) == 0o600
    assert stat.S_IMODE(captures_folder().stat().st_mode) == 0o700


def test_a_recording_begins_shortly_before_the_phrase(tmp_path: Path) -> None:
    recordings = DebugRecordings(tmp_path, 5, 3600)
    for number in range(1, 3000):
        recordings.on_audio(AudioChunk(number.to_bytes(2, "little") * 1280, 16_000, number * 0.08))
        if number == 2900:
            recordings.on_event({"event": "triggered", "audio_seconds": 230.0})
        if number == 2950:
            recordings.on_event({"event": "seed"})
    (file,) = tmp_path.glob("*.wav")
    with wave.open(str(file)) as wav:
        sound = wav.readframes(wav.getnframes())
    assert int.from_bytes(sound[:2], "little") * 0.08 == pytest.approx(228.0, abs=0.081)
    assert int.from_bytes(sound[-2:], "little") == 2951


def test_recordings_within_one_millisecond_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_999_500_000)
    recordings = DebugRecordings(tmp_path, 5, 3600)
    for number in range(1, 4):
        recordings.on_event({"event": "triggered", "audio_seconds": 2.0 + number})
        recordings.on_event({"event": "seed"})
        recordings.on_audio(AudioChunk(bytes([number, 0]), 16_000, 2.5 + number))
    files = sorted(tmp_path.glob("*.wav"))
    assert [path.read_bytes()[-2] for path in files] == [1, 2, 3]  # the names sort by age
    assert [path.stem[-3:] for path in files] == ["999", "000", "001"]


TRIGGERED = {"event": "triggered", "audio_seconds": 5.0}
LISTENING = {"event": "state", "state": "listening"}
TYPED = [{"event": "state", "state": "thinking"}, {"event": "seed", "turn": 1, "text": "a fox"}]


def hear(recordings: DebugRecordings, *seconds: float) -> None:
    for end in seconds:
        recordings.on_audio(AudioChunk(bytes(2560), 16_000, end))
        recordings.on_tick()


def test_a_capture_that_is_muted_or_taken_back_is_not_recorded(tmp_path: Path) -> None:
    recordings = DebugRecordings(tmp_path, 5, 3600)
    hear(recordings, 4.0, 5.0)
    recordings.on_event(TRIGGERED)
    hear(recordings, 6.0)
    recordings.on_event(LISTENING)
    hear(recordings, 3606.0)  # the microphone is open again
    for event in TYPED:
        recordings.on_event(event)
    hear(recordings, 3607.0)
    recordings.close()
    assert list(tmp_path.iterdir()) == []
    for event in ({**TRIGGERED, "audio_seconds": 3608.0}, *TYPED):  # what is said is recorded
        recordings.on_event(event)
        hear(recordings, 3608.0)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_capture_that_ends_with_the_microphone_is_written_at_once(tmp_path: Path) -> None:
    for number, end in enumerate((DebugRecordings.on_tick, DebugRecordings.close), 1):
        recordings = DebugRecordings(tmp_path, 5, 3600)
        hear(recordings, 4.0, 5.0)
        recordings.on_event(TRIGGERED)
        hear(recordings, 6.0)
        recordings.on_event({"event": "nothing", "reason": "end of audio"})
        recordings.on_event(LISTENING)
        assert len(list(tmp_path.iterdir())) == number - 1
        end(recordings)
        assert len(list(tmp_path.iterdir())) == number
        hear(recordings, 3606.0)
        assert len(list(tmp_path.iterdir())) == number


def test_a_capture_without_sound_is_no_fault(tmp_path: Path) -> None:
    recordings = DebugRecordings(tmp_path, 5, 3600)
    recordings.on_event(TRIGGERED)
    recordings.on_event({"event": "seed"})
    hear(recordings, 1.0)
    assert list(tmp_path.iterdir()) == []


def test_the_microphone_may_be_muted_in_a_recorded_capture(tmp_path: Path) -> None:
    recordings = DebugRecordings(tmp_path, 5, 3600)
    source, speech = Source(1_000_000, live=True, seconds_each=0.005), SpeechOutput()
    recognition = Recognition({40: [Triggered("hey computer", 3.2)]})
    options = LoopOptions(observers=[recordings])
    loop = MainLoop(source, recognition, Generator(), speech, options=options)
    with running(loop):
        wait_until(lambda: recognition.fed > 45)
        ask(loop, "mute")
        wait_until(lambda: source.closed)
        ask(loop, "unmute")
        wait_until(lambda: not source.closed)
        ask(loop, "say", seed="the crow")
        fed = recognition.fed
        wait_until(lambda: recognition.fed > fed + 10)
    assert speech.spoken == ["One.", "Two."]
    assert list(tmp_path.iterdir()) == []


def test_recordings_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.observers.recordings.EXPIRY_INTERVAL_SECONDS", 0.0)
    for name, age in (("20200101-000000-000.wav", 7200), ("20200101-000001-000.wav", 10)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    for name in ("notes.txt", "song.wav"):  # not recordings
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    recordings = DebugRecordings(tmp_path, 5, 3600)
    assert len(list(tmp_path.glob("2*.wav"))) == 2
    recordings.on_tick()
    kept = {"20200101-000001-000.wav", "notes.txt", "song.wav"}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_recording_that_cannot_be_deleted_keeps_no_other_one(tmp_path: Path) -> None:
    (tmp_path / "20200101-000001-000.wav").mkdir()
    (tmp_path / "20200101-000000-000.wav").touch()
    expire(tmp_path, 0, 0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["20200101-000001-000.wav"]


def test_recordings_are_deleted_at_a_start_with_the_setting_off() -> None:
    captures_folder().mkdir(parents=True)
    (captures_folder() / "20200101-000000-000.wav").touch()
    assert open_observers(load(None, ()).settings) == []
    assert wavs() == []
