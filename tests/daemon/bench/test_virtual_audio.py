"""The virtual devices: sound that is played into them is recorded."""

import time
import wave
from pathlib import Path

import numpy as np

from tests.support.sound_server import Recording, SoundServer


def beep(path: Path, seconds: float, rate: int = 16_000) -> Path:
    times = np.arange(int(seconds * rate)) / rate
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes((12_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16).tobytes())
    return path


def test_sound_played_by_a_client_is_recorded_with_its_times(
    sound_server: SoundServer, tmp_path: Path
) -> None:
    path = beep(tmp_path / "beep.wav", 0.4)
    with sound_server.recording() as recording:
        start = time.monotonic()
        sound_server._run("paplay", str(path))
        time.sleep(0.3)
        sounding = recording.sounding(start)
        recording.save(tmp_path / "heard.wav")
    assert 0.35 < sounding[-1] - sounding[0] < 0.5
    with wave.open(str(tmp_path / "heard.wav")) as wav:
        assert wav.getframerate() == Recording.rate
        assert np.abs(np.frombuffer(wav.readframes(100_000), np.int16)).max() > 8_000


def test_sound_played_into_the_microphone_reaches_a_program(
    sound_server: SoundServer, tmp_path: Path
) -> None:
    import sounddevice

    heard: list[bytes] = []
    with sounddevice.RawInputStream(
        samplerate=16_000,
        channels=1,
        dtype="int16",
        callback=lambda data, *_: heard.append(bytes(data)),
    ):
        sound_server.play_into_microphone(beep(tmp_path / "beep.wav", 0.4))
        time.sleep(0.3)
    samples = np.frombuffer(b"".join(heard), np.int16).astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > 8_000)
    assert 0.35 < (loud[-1] - loud[0]) / 16_000 < 0.45
