"""Files of every kind, and a microphone of a virtual sound server."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio.chunk import AudioChunk
from audio.source import Microphone, WavFile
from config.errors import AudioDeviceError, ConfigError, InputError
from tests.audio.conftest import RECORDINGS
from tests.sound_server import SoundServer

RATE = 16000
TONE_HZ = 440.0


def tone(rate: int, seconds: float = 1.0, loudness: float = 0.5) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * TONE_HZ * np.arange(round(rate * seconds)) / rate)


def read(path: Path) -> list[AudioChunk]:
    with WavFile(path).open() as chunks:
        return list(chunks)


def samples(chunks: list[AudioChunk]) -> np.ndarray:
    return np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")


def pitch(sound: np.ndarray) -> float:
    """The loudest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * RATE / len(sound)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels(rate: int, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    sf.write(path, np.column_stack([tone(rate)] * channels), rate)
    chunks = read(path)
    sound = samples(chunks)
    assert len(sound) == pytest.approx(RATE, abs=2)
    assert pitch(sound) == pytest.approx(TONE_HZ, abs=2)
    assert np.abs(sound[2000:-2000]).max() == pytest.approx(16384, rel=0.02)
    assert chunks[-1].end_seconds == len(sound) / RATE
    assert {chunk.rate for chunk in chunks} == {RATE}
    assert max(len(chunk.pcm) for chunk in chunks) <= 2 * RATE // 4


@pytest.mark.parametrize(
    ("kind", "width"),
    [(kind, width) for kind, widths in {
        "WAV": ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"],
        "FLAC": ["PCM_16", "PCM_24"],
        "OGG": ["VORBIS"],
    }.items() for width in widths],
)  # fmt: skip
def test_any_width(kind: str, width: str, tmp_path: Path) -> None:
    path = tmp_path / "tone"
    sf.write(path, tone(RATE), RATE, subtype=width, format=kind)
    sound = samples(read(path))
    assert len(sound) == RATE
    assert np.abs(sound - 32768 * tone(RATE)).max() < 800


def test_floats_beyond_full_scale_are_clipped_and_nan_is_silence(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    sf.write(path, np.array([2.0, -2.0, np.nan, 0.25]), RATE, subtype="FLOAT")
    assert samples(read(path)).tolist() == [32767, -32768, 0, 8192]


def test_channels_are_mixed(tmp_path: Path) -> None:
    path = tmp_path / "sides.wav"
    sf.write(path, np.column_stack([tone(RATE), -tone(RATE)]), RATE)
    assert np.abs(samples(read(path))).max() <= 1


def test_a_16_khz_file_comes_through_unchanged() -> None:
    path = RECORDINGS / "one-breath.wav"
    assert np.array_equal(samples(read(path)), sf.read(path, dtype="int16")[0])


def test_an_empty_file_gives_nothing() -> None:
    assert read(RECORDINGS / "empty.wav") == []


def test_a_stopped_file_ends() -> None:
    source = WavFile(RECORDINGS / "one-breath.wav")
    with source.open() as chunks:
        next(chunks)
        source.stop()
        assert list(chunks) == []


def test_bad_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "zero.wav").touch()
    cut = tmp_path / "cut.wav"
    cut.write_bytes((RECORDINGS / "one-breath.wav").read_bytes()[:20])
    for path, words in {
        RECORDINGS / "not-a-wav.wav": "not a sound file",
        tmp_path / "zero.wav": "not a sound file",
        cut: "not a sound file",
        tmp_path / "missing.wav": "does not exist",
        tmp_path: "is a folder",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_error_of_the_listener_stays_its_own() -> None:
    with (
        pytest.raises(OSError, match="the disk is full"),
        WavFile(RECORDINGS / "one-breath.wav").open(),
    ):
        raise OSError("the disk is full")


# The microphone


class Listener:
    """Collects a microphone's chunks in a thread of its own."""

    def __init__(self, microphone: Microphone) -> None:
        self.microphone = microphone
        self.chunks: list[AudioChunk] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        with self.microphone.open() as chunks:
            for chunk in chunks:
                if chunk.pcm:  # empty ones only say that there is none
                    self.chunks.append(chunk)

    def wait_for_chunks(self, count: int, seconds: float = 20.0) -> None:
        wanted, deadline = len(self.chunks) + count, time.monotonic() + seconds
        while len(self.chunks) < wanted:
            assert time.monotonic() < deadline, "no sound came"
            time.sleep(0.02)

    def stop(self) -> float:
        """Stop; how many seconds that took."""
        began = time.monotonic()
        self.microphone.stop()
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()
        return time.monotonic() - began


@pytest.fixture
def listener(sound_server: SoundServer) -> Iterator[Listener]:
    found = Listener(Microphone())
    yield found
    found.stop()


def test_a_microphone_hears_what_is_played(
    sound_server: SoundServer, listener: Listener, tmp_path: Path
) -> None:
    path = tmp_path / "tone.wav"
    sf.write(path, tone(RATE, 1.5), RATE)
    listener.wait_for_chunks(5)
    sound_server.play_into_microphone(path)
    listener.wait_for_chunks(10)
    assert listener.stop() < 1.0
    sound = samples(listener.chunks)
    loud = np.flatnonzero(np.abs(sound) > 3000)
    assert (loud[-1] - loud[0]) / RATE == pytest.approx(1.5, abs=0.05)
    assert pitch(sound[loud[0] : loud[-1]]) == pytest.approx(TONE_HZ, abs=2)
    assert listener.chunks[-1].end_seconds == len(sound) / RATE
    assert listener.microphone.drops == 0


def test_a_silent_microphone_stops_within_a_second(
    sound_server: SoundServer, listener: Listener
) -> None:
    listener.wait_for_chunks(3)
    sound_server.freeze()
    time.sleep(0.3)
    assert listener.stop() < 1.0


def test_a_dead_server_is_noticed_and_its_return_too(
    sound_server: SoundServer, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    listener.wait_for_chunks(3)
    before = listener.chunks[-1].end_seconds
    with caplog.at_level(logging.WARNING, "audio.source"):
        sound_server.kill()
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        sound_server.start()
        listener.wait_for_chunks(5)
    assert [message.split(" is ")[1].split(";")[0] for message in caplog.messages] == [
        "gone",
        "back.",
    ]
    times = [chunk.end_seconds for chunk in listener.chunks]
    assert times == sorted(times)
    assert times[-1] > before
    assert listener.stop() < 1.0


def test_a_dead_microphone_stops_within_a_second(
    sound_server: SoundServer, listener: Listener
) -> None:
    listener.wait_for_chunks(3)
    sound_server.kill()
    time.sleep(3.0)
    assert listener.stop() < 1.0


def test_blocks_that_nobody_takes_are_counted(
    sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Microphone, "QUEUE_BLOCKS", 2)
    microphone = Microphone()
    with microphone.open() as chunks:
        next(chunks)
        time.sleep(1.0)
        assert microphone.drops > 3
        assert len(next(chunks).pcm) == 2560


def test_a_device_that_refuses_16_khz_is_resampled(
    sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sounddevice

    plain = Microphone._stream_at

    def picky(self: Microphone, module: object, number: int | None, rate: int) -> object:
        if rate == RATE:
            raise sounddevice.PortAudioError("Invalid sample rate")
        return plain(self, module, number, rate)

    monkeypatch.setattr(Microphone, "_stream_at", picky)
    path = tmp_path / "tone.wav"
    sf.write(path, tone(RATE, 1.0), RATE)
    listener = Listener(Microphone())
    listener.wait_for_chunks(5)
    sound_server.play_into_microphone(path)
    listener.wait_for_chunks(10)
    listener.stop()
    sound = samples(listener.chunks)
    loud = np.flatnonzero(np.abs(sound) > 3000)
    assert pitch(sound[loud[0] : loud[-1]]) == pytest.approx(TONE_HZ, abs=2)


def test_an_unknown_microphone_is_refused(sound_server: SoundServer) -> None:
    with (
        pytest.raises(ConfigError, match=r"audio\.input.*'no such thing'"),
        Microphone("no such thing").open(),
    ):
        pass


def test_no_sound_server_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    with pytest.raises(AudioDeviceError) as caught, Microphone().open():
        pass
    assert "\n" not in str(caught.value)
