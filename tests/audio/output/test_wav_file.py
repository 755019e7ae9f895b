"""The WAV file that stands in for the loudspeaker."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest

from audio.output.wav_file import WavFilePlayer
from audio.tts.engine import RATE
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

    def test_a_pipe_is_refused(self) -> None:
        with pytest.raises(OutputError, match="/dev/fd/"):
            self.open_pipe()

    def open_pipe(self) -> None:
        read_end, write_end = os.pipe()
        try:
            WavFilePlayer(Path(f"/dev/fd/{write_end}"))
        finally:
            os.close(read_end)
            os.close(write_end)
