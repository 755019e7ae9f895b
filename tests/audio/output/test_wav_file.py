"""The WAV file that stands in for the loudspeaker."""

import io
import os
import threading
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from audio.output import wav_file
from audio.output.wav_file import WavFilePlayer, whole_wav_file
from audio.tts.sound import RATE
from config.errors import OutputError


def never() -> bool:
    return False


def tone(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (10_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


class TestWavFilePlayer:
    def test_the_file_is_whole_after_every_play(self, tmp_path: Path) -> None:
        path = tmp_path / "out.wav"
        sink = WavFilePlayer(path)
        sounds = [tone(0.1), tone(0.2)]
        for count in range(3):
            with wave.open(str(path)) as wav:
                assert wav.getparams()[:3] == (1, 2, RATE)
                written = np.frombuffer(wav.readframes(RATE), np.int16)
            assert np.array_equal(written, np.concatenate([tone(0), *sounds[:count]]))
            if count < 2:
                sink.play(sounds[count], never)
        sink.close()

    def test_after_a_cancellation_or_closing_nothing_is_written(self, tmp_path: Path) -> None:
        path = tmp_path / "out.wav"
        sink = WavFilePlayer(path)
        sink.play(tone(0.1), lambda: True)
        sink.close()
        sink.play(tone(0.1), never)
        with wave.open(str(path)) as wav:
            assert wav.getnframes() == 0

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("/nowhere/at/all.wav", "No such file or directory"),
            ("/", "Is a directory"),
            ("/dev/full", "No space left on device"),
        ],
    )
    def test_a_path_that_cannot_be_written_is_refused_at_once(self, path: str, reason: str) -> None:
        if not Path(path).exists() and path.startswith("/dev"):
            pytest.skip(f"this system has no {path}")
        with pytest.raises(OutputError, match=f"{path}: {reason}; name a file"):
            WavFilePlayer(Path(path))

    def test_a_terminal_is_refused(self) -> None:
        leader, terminal = os.openpty()
        try:
            with pytest.raises(OutputError, match="is a terminal; name a file"):
                WavFilePlayer(Path(os.ttyname(terminal)))
        finally:
            os.close(leader)
            os.close(terminal)

    def test_a_pipe_gets_a_stream_without_a_length(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        with ThreadPoolExecutor() as threads:
            reading = threads.submit(path.read_bytes)
            sink = WavFilePlayer(path)
            for _ in range(2):
                sink.play(tone(5), never)  # more than a pipe holds
            sink.close()
            data = reading.result(60)
        assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
        with wave.open(io.BytesIO(data)) as wav:
            assert wav.getparams()[:3] == (1, 2, RATE)
            written = np.frombuffer(wav.readframes(100 * RATE), np.int16)
        assert np.array_equal(written, np.concatenate([tone(5), tone(5)]))

    def test_a_pipe_that_nobody_reads_any_more_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        sink = WavFilePlayer(path)
        os.close(reader)
        with pytest.raises(OutputError, match=f"{path}: nothing reads it any more; start"):
            sink.play(tone(1), never)
        sink.close()

    @pytest.mark.parametrize("ended_by", ["close", "cancelled"])
    def test_a_pipe_whose_reader_sleeps_holds_nobody_up(
        self, ended_by: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        sink, cancelled = WavFilePlayer(path), threading.Event()
        playing = threading.Thread(target=sink.play, args=[tone(60), cancelled.is_set])
        playing.start()
        time.sleep(0.3)
        assert playing.is_alive()
        if ended_by == "close":
            sink.close()
        else:
            cancelled.set()
        playing.join(30)
        assert not playing.is_alive()
        assert len(os.read(reader, 10**6)) % 2 == 0  # whole samples
        os.close(reader)
        sink.close()

    def test_what_is_appended_to_a_file_leaves_its_beginning_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_bytes(b"before")
        with path.open("ab", buffering=0) as file:
            WavFilePlayer(path, file).play(tone(0.1), never)
        assert path.read_bytes().startswith(b"beforeRIFF")
        with path.open("r+b", buffering=0) as file:
            file.seek(6)
            WavFilePlayer(path, file).play(tone(0.1), never)
            file.write(b"behind")
        data = path.read_bytes()
        assert data.startswith(b"beforeRIFF")
        assert data[6 + 44 + 2 * len(tone(0.1)) :].startswith(b"behind")


class TestWholeWavFile:
    def test_the_old_file_stays_until_all_is_spoken(self, tmp_path: Path) -> None:
        path, link = tmp_path / "reply.wav", tmp_path / "link.wav"
        path.write_bytes(b"old")
        path.chmod(0o640)
        link.symlink_to(path)
        with whole_wav_file(link) as sink:
            sink.play(tone(0.1), never)
            sink.close()
            assert path.read_bytes() == b"old"
            assert sorted(tmp_path.iterdir()) == [link, path]
        with wave.open(str(path)) as wav:
            assert wav.getnframes() == len(tone(0.1))
        assert path.stat().st_mode & 0o777 == 0o640
        assert link.is_symlink()
        assert sorted(tmp_path.iterdir()) == [link, path]

    def test_after_a_failure_there_is_the_old_file_or_none(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old.wav", tmp_path / "new.wav"
        old.write_bytes(b"old")
        for path in (old, new):
            with pytest.raises(ValueError, match="failed"), whole_wav_file(path) as sink:  # noqa: PT012
                sink.play(tone(0.1), never)
                raise ValueError("failed")
        assert old.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [old]

    @pytest.mark.parametrize(
        ("path", "reason"), [("/nowhere/a.wav", "No such file"), ("/", "Is a directory")]
    )
    def test_a_place_that_cannot_be_written_is_refused_at_once(
        self, path: str, reason: str
    ) -> None:
        with pytest.raises(OutputError, match=reason), whole_wav_file(Path(path)):
            raise AssertionError("not reached")

    def test_a_file_that_is_protected_against_writing_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "out.wav"
        path.write_bytes(b"old")
        path.chmod(0o400)

        def refuse(*_: object) -> None:  # as for a user who is not root
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "access", lambda *_: False)
        monkeypatch.setattr(wav_file, "_open", refuse)
        with pytest.raises(OutputError, match="Permission denied"), whole_wav_file(path) as sink:
            sink.play(tone(0.1), never)
        assert path.read_bytes() == b"old"

    def test_devices_and_pipes_are_written_in_place(self, tmp_path: Path) -> None:
        with whole_wav_file(Path("/dev/null")) as sink:
            sink.play(tone(0.1), never)
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with ThreadPoolExecutor() as threads:
            reading = threads.submit(pipe.read_bytes)
            with whole_wav_file(pipe) as sink:
                sink.play(tone(0.1), never)
            assert len(reading.result(60)) == 44 + 2 * len(tone(0.1))
        assert pipe.is_fifo()

    def test_without_unnamed_files_the_file_is_written_in_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wav_file, "_unnamed_file", lambda _: None)
        path = tmp_path / "reply.wav"
        with whole_wav_file(path) as sink:
            sink.play(tone(0.1), never)
            assert path.stat().st_size == 44 + 2 * len(tone(0.1))
