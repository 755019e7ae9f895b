"""The loudspeaker, through a private sound server that may die or hang."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audio.devices.portaudio import Opener
from audio.devices.selection import Device
from audio.output import loudspeaker
from audio.output.loudspeaker import AHEAD_SECONDS, STALL_SECONDS, Loudspeaker
from audio.tts.sound import RATE
from config.errors import AudioDeviceError
from tests.support.sound_server import SoundServer


def never() -> bool:
    return False


def tone(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (10_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)


@pytest.fixture
def speaker(sound_server: SoundServer) -> Iterator[Loudspeaker]:
    stream = Loudspeaker()
    stream.open()
    yield stream
    stream.close()


class TestLoudspeaker:
    def test_all_of_the_sound_is_heard_before_wait_returns(
        self, sound_server: SoundServer, speaker: Loudspeaker
    ) -> None:
        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.play(tone(0.3), never)
            speaker.play(tone(0.2), never)
            speaker.wait(never)
            returned = time.monotonic()
            time.sleep(0.2)
            heard = recording.sounding(begin)
            assert recording.gaps(begin, longer_than=0.02) == []
        assert heard[-1] - heard[0] == pytest.approx(0.5, abs=0.05)
        assert heard[-1] < returned + 0.05
        assert speaker.started_at == pytest.approx(heard[0], abs=0.1)

    def test_stop_silences_soon(self, sound_server: SoundServer, speaker: Loudspeaker) -> None:
        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.play(tone(5), never)
            time.sleep(0.5)
            stopped = time.monotonic()
            speaker.stop()
            time.sleep(0.4)
            assert recording.sounding(begin)[-1] - stopped < 0.2  # 0.08 on an idle machine
            speaker.play(tone(0.2), never)
            speaker.wait(never)
            time.sleep(0.1)
            assert recording.sounding(stopped + 0.3)[-1] > stopped + 0.5

    def test_the_caller_may_run_ahead_by_some_seconds_only(self, speaker: Loudspeaker) -> None:
        begin = time.monotonic()
        speaker.play(tone(AHEAD_SECONDS + 0.4), never)
        assert time.monotonic() - begin < 0.2
        speaker.play(tone(0.1), never)
        assert time.monotonic() - begin > 0.3

    def test_a_full_queue_does_not_outlast_a_cancellation(self, speaker: Loudspeaker) -> None:
        cancelled = threading.Event()
        threading.Timer(0.3, cancelled.set).start()
        speaker.play(tone(2 * AHEAD_SECONDS), cancelled.is_set)
        begin = time.monotonic()
        speaker.play(tone(1), cancelled.is_set)
        speaker.wait(cancelled.is_set)
        assert time.monotonic() - begin < 1

    def test_a_dying_server_is_noticed_and_a_new_one_is_used(
        self, sound_server: SoundServer, speaker: Loudspeaker
    ) -> None:
        speaker.play(tone(10), never)
        sound_server.kill()
        begin = time.monotonic()
        with pytest.raises(AudioDeviceError, match="The loudspeaker is gone"):
            speaker.wait(never)
        assert time.monotonic() - begin < 4
        speaker.stop()
        with pytest.raises(AudioDeviceError, match="cannot be opened"):
            speaker.open()
        sound_server.start()
        with sound_server.recording() as recording:
            begin = time.monotonic()
            speaker.open()
            speaker.play(tone(0.3), never)
            speaker.wait(never)
            assert len(recording.sounding(begin)) > 0

    def test_a_hanging_server_is_noticed_and_closing_does_not_hang(
        self, sound_server: SoundServer, speaker: Loudspeaker
    ) -> None:
        speaker.play(tone(10), never)
        sound_server.freeze()
        with pytest.raises(AudioDeviceError, match="The loudspeaker is gone"):
            speaker.wait(never)
        begin = time.monotonic()
        speaker.close()
        assert time.monotonic() - begin < 1
        sound_server.kill()  # lets PortAudio's own thread end
        time.sleep(0.2)

    def test_opening_does_not_wait_for_a_server_that_hangs(
        self, sound_server: SoundServer, speaker: Loudspeaker
    ) -> None:
        sound_server.freeze()
        time.sleep(STALL_SECONDS)
        begin = time.monotonic()
        for _ in range(3):
            with pytest.raises(AudioDeviceError, match="does not answer"):
                speaker.open()
        assert time.monotonic() - begin < 2 * Opener.PATIENCE_SECONDS
        sound_server.kill()
        sound_server.start()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(AudioDeviceError), sound_server.recording() as recording:
                speaker.open()
                speaker.play(tone(0.3), never)
                speaker.wait(never)
                assert len(recording.sounding(begin)) > 0
                return
            time.sleep(0.2)
        raise AssertionError("it never opened")

    def test_a_hanging_server_does_not_keep_the_process_from_ending(
        self, sound_server: SoundServer
    ) -> None:
        program = (
            "from audio.output.loudspeaker import Loudspeaker; p = Loudspeaker(); p.open();"
            "print('open', flush=True); input(); p.close()"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert process.stdout
            assert process.stdout.readline() == b"open\n"
            sound_server.freeze()
            process.communicate(b"\n", timeout=5)
        finally:
            process.kill()
        assert process.returncode == 0

    def test_closing_from_another_thread_ends_the_wait(self, speaker: Loudspeaker) -> None:
        speaker.play(tone(10), never)
        threading.Timer(0.2, speaker.close).start()
        begin = time.monotonic()
        with pytest.raises(AudioDeviceError):
            speaker.wait(never)
        assert time.monotonic() - begin < 1
        with pytest.raises(AudioDeviceError, match="closed"):
            speaker.open()


class FakeSounddevice(SimpleNamespace):
    """A device that only knows 48 kHz, and asks for its samples at once."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__(heard=[])

    def query_devices(self, *_: Any) -> dict[str, Any]:
        return {"default_samplerate": 48_000.0}

    def RawOutputStream(self, samplerate: int, callback: Any, **_: Any) -> SimpleNamespace:  # noqa: N802
        if samplerate != 48_000:
            raise self.PortAudioError("Invalid sample rate")

        def take(samples: int) -> None:
            block = np.zeros(samples, np.int16)
            callback(block, samples, None, None)
            self.heard.append(block)

        self.take = take
        quiet = SimpleNamespace(start=lambda: None, abort=lambda: None, close=lambda: None)
        quiet.active = True
        return quiet


def test_a_device_that_refuses_the_rate_gets_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSounddevice()
    monkeypatch.setattr(loudspeaker, "import_sounddevice", lambda: fake)
    monkeypatch.setattr(loudspeaker, "find_device", lambda *_: Device(None, "default"))
    stream = Loudspeaker()
    stream.open()
    stream.play(tone(1.0), never)
    fake.take(48_000)
    spectrum = np.abs(np.fft.rfft(fake.heard[0].astype(np.float64)))
    assert np.argmax(spectrum) == 440
    stream.close()
