"""Audio sink that plays through a loudspeaker: one PortAudio stream, open between sentences."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from audio.devices.portaudio import Opener, close_stream, import_sounddevice, start_stream
from audio.devices.selection import Device, find_device
from audio.devices.sound_server import route
from audio.native_stderr import quiet_stderr
from audio.output.buffer import Cancelled, PlaybackBuffer
from audio.pcm import Samples
from audio.tts.sound import RATE
from config.errors import AudioDeviceError

LATENCY_SECONDS = 0.05  # from the callback to the ear; less crackles on a busy machine
FADE_SECONDS = 0.02  # a shorter fade clicks
AHEAD_SECONDS = 8.0  # of queued sound at most; beyond it `play` blocks
POLL_SECONDS = 0.01  # between two checks of a waiting thread
STALL_SECONDS = 2.0  # without a callback; then the device counts as lost


class Loudspeaker:
    """A loudspeaker, through one PortAudio stream that stays open between sentences.

    One thread plays, waits and stops; `close` may be called from any other.
    """

    def __init__(self, wanted: int | str | None = None) -> None:
        """Take the number, name or part of a name of a device; `open` opens it."""
        self.rate = RATE
        self.started_at: float | None = None
        self._wanted = wanted
        self._opener = Opener(self._new_stream)
        self._device_rate = RATE
        self._speech = PlaybackBuffer(int(FADE_SECONDS * RATE))
        self._cues = PlaybackBuffer(0)  # mixed into the speech
        self._stream: Any = None
        self._called_at = 0.0
        self._closed = False
        self._lock = threading.Lock()  # held for the moment in which `_stream` is touched

    def open(self) -> None:
        """Open the stream, or reopen one that has died. Resets `started_at`.

        Raises:
            AudioDeviceError: there is no loudspeaker or no sound server, it does not answer, or
                this is closed.
            ConfigError: no loudspeaker has the wanted name.
        """
        self.started_at = None
        self._speech.pause_until(0)
        with self._lock:
            if self._closed:
                raise AudioDeviceError("The loudspeaker is closed.")
            if self._is_alive():
                return
            dead, self._stream = self._stream, None
        close_stream(dead)
        import_sounddevice()  # here, outside lock and time limit, for it may take seconds
        stream = self._opener.open(lambda: self._closed)
        with self._lock:
            if not self._closed:
                self._stream = stream
                return
        close_stream(stream)
        raise AudioDeviceError("The loudspeaker is closed.")

    def play(self, samples: Samples, cancelled: Cancelled) -> None:
        """Queue samples; blocks while AHEAD_SECONDS of sound are queued, or until `cancelled`.

        Raises:
            AudioDeviceError: the device is gone.
        """
        limit = int(AHEAD_SECONDS * self._device_rate)
        self._wait_while(lambda: self._speech.pending > limit, cancelled)
        if self._closed:
            raise AudioDeviceError("The loudspeaker is closed.")
        if not cancelled():
            self._speech.put(self._resampled(samples))

    def wait(self, cancelled: Cancelled) -> None:
        """Return when all queued samples have sounded, or when `cancelled`.

        Raises:
            AudioDeviceError: the device is gone.
        """
        self._wait_while(lambda: self._speech.pending > 0, cancelled)
        # The callback has taken all, but the device still plays; it gets zeros meanwhile.
        end = time.monotonic() + 2 * LATENCY_SECONDS
        self._wait_while(lambda: time.monotonic() < end, cancelled)

    def cue(self, samples: Samples) -> bool:
        """Play a cue at once, mixed into the speech; False if the stream is dead."""
        if not self._alive():
            return False
        if not self._cues.pending:
            self._cues.put(self._resampled(samples))
        return True

    def pause(self, seconds: float) -> None:
        """Pause playback for so many seconds, then resume; 0 resumes now. For any thread."""
        self._speech.pause_until(time.monotonic() + seconds)

    def stop(self) -> None:
        """Fade out within FADE_SECONDS and drop the queued samples."""
        self._speech.fade()
        end = time.monotonic() + 10 * FADE_SECONDS
        while self._speech.fading and time.monotonic() < end and self._alive():
            time.sleep(POLL_SECONDS / 2)
        if self._speech.fading:  # no callback takes the samples
            self._speech.clear()
        self._speech.pause_until(0)

    def close(self) -> None:
        """Fade out and free the device; `play` and `wait` in another thread raise."""
        self._closed = True
        self.stop()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream:
            time.sleep(LATENCY_SECONDS)  # closing would cut off the fade in the device
            close_stream(stream)

    def _new_stream(self) -> Any:
        """Start a stream, at RATE or, if the device refuses that, at the device's own rate."""
        device = find_device("output", self._wanted)
        sounddevice = import_sounddevice()
        try:
            with quiet_stderr():
                try:
                    return self._start_stream(sounddevice, device, RATE)
                except sounddevice.PortAudioError:
                    device_rate = int(
                        sounddevice.query_devices(device.number, "output")["default_samplerate"]
                    )
                    if device_rate == RATE:
                        raise
                    return self._start_stream(sounddevice, device, device_rate)
        except (sounddevice.PortAudioError, ValueError) as error:
            name = "the default one" if self._wanted is None else repr(self._wanted)
            raise AudioDeviceError(
                f"The loudspeaker ({name}) cannot be opened ({error}); see whether your session's "
                f"sound server runs, or write the speech to a file with --out."
            ) from error

    def _start_stream(self, sounddevice: Any, device: Device, rate: int) -> Any:
        self._speech, self._cues = PlaybackBuffer(int(FADE_SECONDS * rate)), PlaybackBuffer(0)
        self._device_rate = rate
        stream = start_stream(
            lambda: sounddevice.RawOutputStream(
                samplerate=rate,
                device=device.number,
                channels=1,
                dtype="int16",
                latency=LATENCY_SECONDS,
                blocksize=round(rate * LATENCY_SECONDS / 2),  # PortAudio's default is a quarter
                callback=self._callback,
            ),
            route("output", device.server_name),
            self._close_if_idle,
        )
        self._called_at = time.monotonic()
        return stream

    def _close_if_idle(self) -> bool:
        """Close the stream if nothing plays, so that PortAudio can list the devices again."""
        with self._lock:
            if (self._speech.pending or self._cues.pending) and self._is_alive():
                return False
            idle, self._stream = self._stream, None
        close_stream(idle)
        return True

    def _callback(self, out: Any, _frames: int, _times: Any, _status: Any) -> None:
        """Fill the next block; runs in PortAudio's thread."""
        self._called_at = time.monotonic()
        block = np.frombuffer(out, np.int16)
        if self._speech.fill(block) and self.started_at is None:
            self.started_at = self._called_at + LATENCY_SECONDS
        if self._cues.pending:
            cue = np.empty_like(block)
            self._cues.fill(cue)
            limit = np.iinfo(np.int16)
            np.clip(block.astype(np.int32) + cue, limit.min, limit.max, out=block, casting="unsafe")

    def _resampled(self, samples: Samples) -> Samples:
        if self._device_rate == RATE:
            return samples
        import soxr

        resampled: Samples = soxr.resample(samples, RATE, self._device_rate)
        return resampled

    def _wait_while(self, condition: Callable[[], bool], cancelled: Cancelled) -> None:
        while condition() and not cancelled():
            if not self._alive():
                raise AudioDeviceError(
                    "The loudspeaker is gone: it was unplugged, or the sound server has ended."
                )
            time.sleep(POLL_SECONDS)

    def _alive(self) -> bool:
        with self._lock:
            return self._is_alive()

    def _is_alive(self) -> bool:
        """True if the stream plays; PortAudio raises nothing when the device has vanished."""
        if self._stream is None or time.monotonic() - self._called_at > STALL_SECONDS:
            return False
        return bool(self._stream.active)
