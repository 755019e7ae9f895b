"""Where sound comes from: a file, or a microphone. Both give mono 16-bit chunks at 16 kHz."""

import contextlib
import itertools
import logging
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audio.chunk import AudioChunk
from audio.closing import close_stream
from config.errors import AudioDeviceError, ConfigError, InputError

log = logging.getLogger(__name__)

RATE = 16000  # samples per second, what the recogniser wants
_FULL_SCALE = 32768
_LOWEST_RATE = 4000  # below it is no intelligible speech


class WavFile:
    """A WAV, FLAC or other sound file of any rate, width and number of channels."""

    live = False
    drops = 0

    def __init__(self, path: Path, chunk_seconds: float = 0.08) -> None:
        self._path = path
        self._chunk_seconds = chunk_seconds
        self._stopped = False

    def stop(self) -> None:
        """End the iterator after the chunk it is at."""
        self._stopped = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Open the file; a file without samples gives no chunk.

        Raises:
            InputError: it is missing, cannot be read or is not sound.
        """
        import soundfile

        if not self._path.is_file():
            kind = "is no regular file" if self._path.exists() else "does not exist"
            kind = "is a folder" if self._path.is_dir() else kind
            raise InputError(f"The sound file {self._path} {kind}; name a WAV or FLAC file.")
        with contextlib.ExitStack() as stack:
            try:
                # Opened by us, for libsndfile does not say why it could not.
                raw = stack.enter_context(self._path.open("rb"))
                file = stack.enter_context(soundfile.SoundFile(raw))
            except OSError as error:
                raise InputError(
                    f"The sound file {self._path} cannot be read: {error.strerror}."
                ) from error
            except soundfile.LibsndfileError as error:
                raise InputError(
                    f"{self._path} is not a sound file; name a WAV or FLAC file."
                ) from error
            if file.samplerate < _LOWEST_RATE:
                raise InputError(
                    f"{self._path} has {file.samplerate} samples a second, which is no speech; "
                    f"name a recording with {_LOWEST_RATE} or more."
                )
            yield self._chunks(file)

    def _chunks(self, file: Any) -> Iterator[AudioChunk]:
        to_16k = _Resampler(file.samplerate)
        done = 0
        for block in self._blocks(file):
            pcm = to_16k.rest() if block is None else to_16k.convert(block.mean(axis=1))
            done += len(pcm) // 2
            if self._stopped:
                return
            if pcm:
                yield AudioChunk(pcm, RATE, done / RATE)

    def _blocks(self, file: Any) -> Iterator[Any]:
        """The file's frames, (frames, channels) floats from -1 to 1, then None."""
        import soundfile

        frames = round(self._chunk_seconds * file.samplerate)
        try:
            yield from file.blocks(frames, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise InputError(f"The sound file {self._path} is damaged in its middle.") from error
        yield None


class _Resampler:
    """Streams float samples, -1 to 1, of any rate to 16-bit ones at 16 kHz."""

    def __init__(self, rate: int) -> None:
        import soxr

        # LQ: aliasing below -100 dB, which is far under any microphone; QQ is not.
        self._stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="LQ")
        self._same = rate == RATE

    def convert(self, samples: Any, last: bool = False) -> bytes:
        """The next samples; some are held back until more come."""
        import numpy as np

        if not self._same:
            samples = self._stream.resample_chunk(samples, last=last)
        samples = np.nan_to_num(samples * _FULL_SCALE)  # float files may hold anything
        return bytes(np.clip(np.rint(samples), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2"))

    def rest(self) -> bytes:
        """What was held back."""
        import numpy as np

        return self.convert(np.zeros(0, dtype="float32"), last=True)


class Microphone:
    """A microphone, by number or name. It comes back by itself after the device was away."""

    live = True

    BLOCK_SECONDS = 0.08
    QUEUE_BLOCKS = 125  # 10 s; more than the loop should ever be late
    DEAD_SECONDS = 2.0  # without a block the device is gone; PortAudio reports nothing
    RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)  # between attempts to open it again

    def __init__(self, device: str | int | None = None) -> None:
        self._device = device
        self._blocks: queue.Queue[bytes] = queue.Queue(self.QUEUE_BLOCKS)
        self._stopped = False  # no Event: setting one in a signal handler can lock up
        self._stream: Any = None
        self._resampler: _Resampler | None = None
        self.drops = 0
        """Blocks lost because the loop was late."""

    def stop(self) -> None:
        """End the iterator for good within a quarter of a second; from any thread or handler."""
        self._stopped = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Open the device.

        Raises:
            AudioDeviceError: there is no microphone, or it cannot be opened.
            ConfigError: no device answers to the name or number.
        """
        self._start()
        try:
            yield self._chunks()
        finally:
            self._close()

    def flush(self) -> None:
        """Forget the blocks that wait in the queue."""
        while True:
            try:
                self._blocks.get_nowait()
            except queue.Empty:
                return

    def _chunks(self) -> Iterator[AudioChunk]:
        """A chunk for each block; an empty one where none came, so that the loop keeps turning."""
        done = 0
        for block in self._blocks_as_they_come():
            pcm = self._to_16k(block)
            done += len(pcm) // 2
            yield AudioChunk(pcm, RATE, done / RATE)

    def _blocks_as_they_come(self) -> Iterator[bytes]:
        last_block = time.monotonic()
        while not self._stopped:
            try:
                block = self._blocks.get(timeout=self.BLOCK_SECONDS * 3)
            except queue.Empty:
                yield b""
                if time.monotonic() - last_block > self.DEAD_SECONDS or not self._is_active():
                    yield from self._reopen()
                    last_block = time.monotonic()
                continue
            last_block = time.monotonic()
            yield block

    def _to_16k(self, block: bytes) -> bytes:
        if self._resampler is None or not block:
            return block
        import numpy as np

        samples = np.frombuffer(block, dtype="<i2").astype("float32") / _FULL_SCALE
        return self._resampler.convert(samples)

    def _start(self) -> None:
        """Open the stream at 16 kHz, or else at the device's own rate."""
        from audio.devices import find_device, import_sounddevice
        from audio.quiet import quiet_stderr

        sounddevice = import_sounddevice()
        number = find_device("input", self._device)
        try:
            with quiet_stderr():
                self._stream = self._open_stream(sounddevice, number)
        except sounddevice.PortAudioError as error:
            raise AudioDeviceError(
                f"The microphone {self._name()} cannot be opened ({_reason(error)}); "
                f"see whether another program holds it."
            ) from error

    def _open_stream(self, sounddevice: Any, number: int | None) -> Any:
        try:
            stream = self._stream_at(sounddevice, number, RATE)
            self._resampler = None
        except sounddevice.PortAudioError:
            own = round(sounddevice.query_devices(number, "input")["default_samplerate"])
            if own == RATE:
                raise
            stream = self._stream_at(sounddevice, number, own)
            self._resampler = _Resampler(own)
        stream.start()
        return stream

    def _stream_at(self, sounddevice: Any, number: int | None, rate: int) -> Any:
        return sounddevice.RawInputStream(
            samplerate=rate,
            blocksize=round(rate * self.BLOCK_SECONDS),
            device=number,
            channels=1,
            dtype="int16",
            latency="high",  # "low" was seen to insert samples without a flag
            callback=self._on_block,
        )

    def _on_block(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """Called by PortAudio's own thread: copy and leave, never wait."""
        try:
            self._blocks.put_nowait(bytes(data))
        except queue.Full:
            self.drops += 1

    def _is_active(self) -> bool:
        return self._stream is not None and bool(self._stream.active)

    def _reopen(self) -> Iterator[bytes]:
        """Try again until the device is back or we are stopped; give empty blocks meanwhile."""
        log.warning("The microphone %s is gone; waiting for it.", self._name())
        self._close()
        for attempt in itertools.count():
            yield from self._wait(self.RETRY_SECONDS[min(attempt, len(self.RETRY_SECONDS) - 1)])
            if self._stopped:
                return
            try:
                self._start()
            except (AudioDeviceError, ConfigError) as error:  # a name that answers to none just now
                log.debug("%s", error)
                continue
            log.warning("The microphone %s is back.", self._name())
            return

    def _wait(self, seconds: float) -> Iterator[bytes]:
        end = time.monotonic() + seconds
        while not self._stopped and time.monotonic() < end:
            time.sleep(0.1)
            yield b""

    def _close(self) -> None:
        """Close the stream, whatever state it is in."""
        stream, self._stream = self._stream, None
        close_stream(stream)
        self.flush()

    def _name(self) -> str:
        return "(the default one)" if self._device is None else repr(self._device)


def _reason(error: Exception) -> str:
    """PortAudio's words without its numbers."""
    return str(error.args[0] if error.args else error).split(" [")[0]
