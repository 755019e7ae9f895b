"""Audio source: a sound file, as mono 16-bit chunks at 16 kHz."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from audio.input.resampler import Resampler
from audio.input.sound_file import blocks, open_sound, read_pipe
from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk
from config.errors import InputError

_MIN_FILE_RATE = 4000  # samples per second; below is no intelligible speech
_MAX_FILE_RATE = 768_000  # above, the header is damaged, and a block has gigabytes
_MAX_CHANNELS = 64


class WavFile:
    """A WAV, FLAC or other sound file of any rate, width and number of channels, or a pipe."""

    live = False
    drops = 0

    def __init__(self, path: Path, chunk_seconds: float = CHUNK_SECONDS) -> None:
        self._path = path
        self._chunk_seconds = chunk_seconds
        self._stopped = False
        self._piped: BinaryIO | None = None  # a pipe can be read once only

    def stop(self) -> None:
        """End the iterator after the current chunk."""
        self._stopped = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Open the file; a file without samples gives no chunk. A pipe is read to its end.

        Raises:
            InputError: the file is missing, cannot be read or is not sound.
        """
        self._piped = self._piped or read_pipe(self._path)
        with open_sound(self._path, self._piped) as file:
            if file.samplerate < _MIN_FILE_RATE:
                raise InputError(
                    f"{self._path} has {file.samplerate} samples a second, which is no speech; "
                    f"name a recording with {_MIN_FILE_RATE} or more."
                )
            if file.samplerate > _MAX_FILE_RATE or file.channels > _MAX_CHANNELS:
                raise InputError(
                    f"{self._path} is damaged: {file.samplerate} samples a second in "
                    f"{file.channels} channels; record it again."
                )
            yield self._chunks(file)

    def _chunks(self, file: Any) -> Iterator[AudioChunk]:
        resampler = Resampler(file.samplerate)
        samples = 0
        for block in self._blocks(file):
            pcm = resampler.rest() if block is None else resampler.convert(block)
            samples += len(pcm) // 2
            if self._stopped:
                return
            if pcm:
                yield AudioChunk(pcm, SAMPLE_RATE, samples / SAMPLE_RATE)

    def _blocks(self, file: Any) -> Iterator[Any]:
        """Blocks of the file, (frames, channels) floats from -1 to 1; None at the end."""
        yield from blocks(file, round(self._chunk_seconds * file.samplerate), self._path)
        yield None
