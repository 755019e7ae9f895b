"""Audio source: a microphone, as mono 16-bit chunks at 16 kHz."""

import contextlib
import functools
import logging
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from audio.devices.portaudio import (
    Opener,
    close_stream,
    import_sounddevice,
    look_again,
    start_stream,
)
from audio.devices.selection import Device, devices, find_device, way_to_server
from audio.devices.sound_server import missing_microphone, route
from audio.input.resampler import Resampler
from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk
from config.errors import AudioDeviceError

log = logging.getLogger(__name__)

# Pauses of the main loop between attempts to open a missing microphone; the last one is repeated.
RETRY_SECONDS = (0.25, 0.5, 1.0, 1.5)


class Microphone:
    """A microphone, by number or name; None is the default one. It may be opened again."""

    live = True

    QUEUE_BLOCKS = round(10 / CHUNK_SECONDS)  # longer than the main loop is ever late
    WAIT_SECONDS = 0.25  # for a block, before an empty chunk keeps the main loop ticking
    LOOK_SECONDS = 2.0  # between two queries whether the sound server still has the microphone
    DEAD_SECONDS = 2.0  # without a block the device counts as gone; PortAudio reports nothing

    def __init__(self, device: str | int | None = None) -> None:
        self._device = device
        self._opener = Opener(self._open_stream)
        self._blocks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stopped = False  # no Event: setting one in a signal handler can deadlock
        self._channels = 1
        self._resampler: Resampler | None = None  # None if there is nothing to convert
        self._through_server = False
        self._server_name = ""  # the sound server's name of it; "" for its default
        self._missing = ""  # why the stream no longer comes from it
        self._looking: threading.Thread | None = None
        self.drops = 0
        """Blocks lost because the main loop was late."""

    def stop(self) -> None:
        """End the iterator within 0.25 s; may be called from any thread or a signal handler."""
        self._stopped = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Open the device; its chunks end with an AudioDeviceError when it goes away.

        Raises:
            AudioDeviceError: there is no microphone, or it cannot be opened.
            ConfigError: no device answers to the name or number.
        """
        import_sounddevice()  # here, for that may take seconds
        stream = self._opener.open(lambda: self._stopped)
        try:
            yield self._chunks(stream)
        finally:
            close_stream(stream)

    def _chunks(self, stream: Any) -> Iterator[AudioChunk]:
        """A chunk for each block; an empty one where none came, so that the main loop goes on."""
        samples = 0
        for block in self._blocks_of(stream):
            pcm = self._to_16k(block)
            samples += len(pcm) // 2
            yield AudioChunk(pcm, SAMPLE_RATE, samples / SAMPLE_RATE)

    def _blocks_of(self, stream: Any) -> Iterator[bytes]:
        last_block = last_look = time.monotonic()
        while not self._stopped:
            if time.monotonic() - last_look > self.LOOK_SECONDS:
                last_look = time.monotonic()
                self._look()
            if self._missing:
                raise AudioDeviceError(self._missing)
            try:
                block = self._blocks.get(timeout=self.WAIT_SECONDS)
            except queue.Empty:
                yield b""
                if not stream.active:
                    raise AudioDeviceError(f"The microphone {self._name()} is gone.") from None
                if time.monotonic() - last_block > self.DEAD_SECONDS:
                    raise AudioDeviceError(
                        f"The microphone {self._name()} gives no sound: it is suspended, or gone."
                    ) from None
                continue
            last_block = time.monotonic()
            yield block

    def _look(self) -> None:
        """Ask the sound server, in a thread: it moves a stream elsewhere when a microphone goes."""
        if self._looking is not None and self._looking.is_alive():
            return

        def work() -> None:
            self._missing = missing_microphone(self._server_name)

        if self._through_server:
            self._looking = threading.Thread(target=work, name="look-for-microphone", daemon=True)
            self._looking.start()

    def _to_16k(self, block: bytes) -> bytes:
        if self._resampler is None or not block:
            return block
        import numpy as np

        samples = np.frombuffer(block, dtype="<i2").reshape(-1, self._channels)
        return self._resampler.convert(samples)

    def _open_stream(self) -> Any:
        """Start a stream at 16 kHz, or else at the device's own rate."""
        self._blocks = queue.SimpleQueue()  # a stream that hangs may still fill the old one
        sounddevice = import_sounddevice()
        device = find_device("input", self._device)
        if self._device is None and device.server_name:
            log.info("The microphone is %s, for it cancels echo.", device.server_name)
        by_default = self._device is None and way_to_server(devices("input")) is not None
        self._through_server = bool(device.server_name) or by_default
        self._server_name = device.server_name
        if self._through_server and (missing := missing_microphone(self._server_name)):
            raise AudioDeviceError(missing)
        self._missing = ""
        try:
            return self._start(sounddevice, device)
        except sounddevice.PortAudioError as error:
            look_again()  # for the next attempt: the numbers of the devices may have changed
            raise AudioDeviceError(
                f"The microphone {self._name()} cannot be opened ({_reason(error)}); "
                f"see whether another program holds it."
            ) from error

    def _start(self, sounddevice: Any, device: Device) -> Any:
        about = sounddevice.query_devices(device.number, "input")
        # On an interface, either of two channels may be the microphone. A server mixes by itself.
        self._channels = 2 if about["max_input_channels"] == 2 else 1
        try:
            self._resampler = Resampler(SAMPLE_RATE) if self._channels == 2 else None
            return self._start_at(sounddevice, device, SAMPLE_RATE)
        except sounddevice.PortAudioError:
            own = round(about["default_samplerate"])
            if own == SAMPLE_RATE:
                raise
            self._resampler = Resampler(own)
            return self._start_at(sounddevice, device, own)

    def _start_at(self, sounddevice: Any, device: Device, rate: int) -> Any:
        return start_stream(
            lambda: sounddevice.RawInputStream(
                samplerate=rate,
                blocksize=round(rate * CHUNK_SECONDS),
                device=device.number,
                channels=self._channels,
                dtype="int16",
                latency="high",  # "low" was seen to insert samples without a flag
                callback=functools.partial(self._on_block, self._blocks),
            ),
            route("input", device.server_name),
        )

    def _on_block(
        self, blocks: "queue.SimpleQueue[bytes]", data: Any, _frames: int, _time: Any, _status: Any
    ) -> None:
        """PortAudio's callback, in its own thread: copies the block and never waits."""
        if blocks.qsize() < self.QUEUE_BLOCKS:
            blocks.put(bytes(data))
        else:
            self.drops += 1

    def _name(self) -> str:
        return "(the default one)" if self._device is None else repr(self._device)


def _reason(error: Exception) -> str:
    """PortAudio's message without its codes."""
    return str(error.args[0] if error.args else error).split(" [")[0]
