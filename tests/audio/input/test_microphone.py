"""A microphone of a virtual sound server."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio.devices.portaudio import Opener
from audio.input.microphone import Microphone
from config.errors import AudioDeviceError, ConfigError
from tests.audio.listener import Listener
from tests.audio.tones import RATE, TONE_HZ, pitch, samples, tone
from tests.support.sound_server import SoundServer


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


def test_a_dead_server_ends_the_sound_and_a_new_one_is_heard(
    sound_server: SoundServer, listener: Listener
) -> None:
    listener.wait_for_chunks(3)
    sound_server.kill()
    with pytest.raises(AudioDeviceError, match=r"The microphone \(the default one\) is gone"):
        listener.end()
    with pytest.raises(AudioDeviceError), listener.microphone.open():
        pass
    sound_server.start()
    again = Listener(listener.microphone)
    again.wait_for_chunks(5)
    assert again.stop() < 1.0


def test_a_suspended_source_ends_the_sound(sound_server: SoundServer, listener: Listener) -> None:
    listener.wait_for_chunks(3)
    sound_server.pactl("suspend-source", "mic", "1")
    with pytest.raises(AudioDeviceError, match="gives no sound"):
        listener.end()


def test_opening_does_not_wait_for_a_server_that_hangs(
    sound_server: SoundServer,
) -> None:
    sound_server.freeze()
    microphone = Microphone()
    before = threading.active_count()
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(AudioDeviceError, match="does not answer"), microphone.open():
            pass
    assert time.monotonic() - began < 2 * Opener.PATIENCE_SECONDS
    assert threading.active_count() == before + 1
    sound_server.kill()
    sound_server.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(AudioDeviceError), microphone.open() as chunks:
            assert len(next(chunks).pcm) in (0, 1024)
            return
        time.sleep(0.2)
    raise AssertionError("it never opened")


def test_blocks_that_are_not_taken_are_counted(
    sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Microphone, "QUEUE_BLOCKS", 2)
    microphone = Microphone()
    with microphone.open() as chunks:
        next(chunks)
        time.sleep(1.0)
        assert microphone.drops > 3
        assert len(next(chunks).pcm) == 1024


def test_a_device_that_refuses_16_khz_is_resampled(
    sound_server: SoundServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sounddevice

    plain = Microphone._start_at

    def picky(self: Microphone, module: object, device: object, rate: int) -> object:
        if rate == RATE:
            raise sounddevice.PortAudioError("Invalid sample rate")
        return plain(self, module, device, rate)

    monkeypatch.setattr(Microphone, "_start_at", picky)
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
