"""Audio source: a sound file, as mono 16-bit chunks at 16 kHz."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audio.input.resampler import Resampler
from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk
from config.errors import InputError

_MIN_FILE_RATE = 4000  # samples per second; below is no intelligible speech
_MAX_FILE_RATE = 768_000  # above, the header is damaged, and a block has gigabytes
_MAX_CHANNELS = 64


class WavFile:
    """A WAV, FLAC or other sound file of any rate, width and number of channels."""

    live = False
    drops = 0

    def __init__(self, path: Path, chunk_seconds: float = CHUNK_SECONDS) -> None:
        self._path = path
        self._chunk_seconds = chunk_seconds
        self._stopped = False

    def stop(self) -> None:
        """End the iterator after the current chunk."""
        self._stopped = True

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[AudioChunk]]:
        """Open the file; a file without samples gives no chunk.

        Raises:
            InputError: the file is missing, cannot be read or is not sound.
        """
        import soundfile

        if not self._path.is_file():
            kind = "is no regular file" if self._path.exists() else "does not exist"
            kind = "is a folder" if self._path.is_dir() else kind
            raise InputError(f"The sound file {self._path} {kind}; name a WAV or FLAC file.")
        with contextlib.ExitStack() as stack:
            try:
                # Opened here, for libsndfile does not say why it cannot open a file.
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
        import soundfile

        frames = round(self._chunk_seconds * file.samplerate)
        try:
            yield from file.blocks(frames, dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError) as error:
            raise InputError(f"The sound file {self._path} is damaged in its middle.") from error
        yield None
