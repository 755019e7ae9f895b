"""False rejects and false accepts of the trigger, counted on recordings."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audio.events import Triggered
from audio.input.file import WavFile
from audio.pcm import CHUNK_SECONDS, SAMPLE_RATE, AudioChunk
from audio.recognition import AudioRecognition
from config.errors import InputError

Sound = npt.NDArray[np.int16]  # mono, 16 kHz

_CHUNK_SAMPLES = round(CHUNK_SECONDS * SAMPLE_RATE)
_PAUSE_SECONDS = 2.0  # of room noise after each clip
_GAP_SECONDS = 0.3  # between two negatives
_ROOM_RMS = 12.0  # of a quiet room, in 16-bit steps
_BABBLE_VOICES = 6
_SHIFT_SAMPLES = 17_011  # of the noise, from one clip to the next
_BABBLE_SECONDS = 30
_BABBLE_RMS = 3000.0
_SUFFIXES = frozenset([".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"])


@dataclass(frozen=True)
class FalseRejects:
    """Recordings of the phrase that did not trigger.

    Attributes:
        clips: number of recordings.
        missed: how many of them did not trigger.
        delays: seconds from the end of the phrase to the trigger, for each of the others.
    """

    clips: int
    missed: int
    delays: tuple[float, ...]


@dataclass(frozen=True)
class FalseAccepts:
    """Triggers in `hours` of speech without the phrase."""

    count: int
    hours: float

    @property
    def rate(self) -> float:
        """False accepts an hour."""
        return self.count / self.hours

    @property
    def bound(self) -> float:
        """Upper limit of the true rate, with 95 % confidence."""
        return poisson_bound(self.count) / self.hours


def read_folder(folder: Path) -> list[Sound]:
    """Read all recordings in a folder and its subfolders, as 16 kHz mono.

    Raises:
        InputError: there is no recording, or one is no sound.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no recordings; name a folder with WAV or FLAC files.")
    return [_read(file) for file in files]


def _read(file: Path) -> Sound:
    with WavFile(file).open() as chunks:
        return np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2").astype(np.int16)


@dataclass(frozen=True)
class Noise:
    """Noise to add, `ratio_db` below the level of the whole recording with its pauses."""

    sound: Sound
    ratio_db: float


def count_false_rejects(
    recognition: AudioRecognition, clips: Sequence[Sound], noise: Noise | None = None
) -> FalseRejects:
    """Play each clip, then a pause, in which the noise goes on.

    Args:
        recognition: without a refractory period.
        clips: of the phrase.
        noise: to add; None for none.
    """
    delays: list[float] = []
    for number, clip in enumerate(clips):
        sound = np.concatenate([clip, _room(_PAUSE_SECONDS)])
        if noise is not None:
            sound = _clipped(sound + _noise_for(clip, len(sound), noise, number))
        delays += list(_delays(recognition, sound))[:1]
    return FalseRejects(len(clips), len(clips) - len(delays), tuple(delays))


def _noise_for(clip: Sound, samples: int, noise: Noise, number: int) -> npt.NDArray[np.float64]:
    """A different part of the noise for each clip."""
    part = np.resize(np.roll(noise.sound, -_SHIFT_SAMPLES * number), samples).astype(np.float64)
    return part * (_level(clip) / _level(part) * 10 ** (-noise.ratio_db / 20))


def count_false_accepts(recognition: AudioRecognition, sounds: Iterable[Sound]) -> FalseAccepts:
    """Play sounds without the phrase; the pauses between do not count as time."""
    count = samples = 0
    for sound in sounds:
        samples += len(sound)
        count += len(list(_delays(recognition, np.concatenate([sound, _room(_GAP_SECONDS)]))))
    return FalseAccepts(count, samples / SAMPLE_RATE / 3600)


def _delays(recognition: AudioRecognition, sound: Sound) -> Iterator[float]:
    """Seconds from the end of the phrase to the trigger, for each trigger in the sound."""
    for at in range(0, len(sound), _CHUNK_SAMPLES):
        end = min(at + _CHUNK_SAMPLES, len(sound)) / SAMPLE_RATE
        for event in recognition.feed(
            AudioChunk(sound[at : at + _CHUNK_SAMPLES].tobytes(), SAMPLE_RATE, end)
        ):
            if isinstance(event, Triggered):
                yield end - event.at_seconds
                recognition.cancel()  # no capture is wanted


def babble(sounds: Sequence[Sound]) -> Sound:
    """Babble noise: 30 s of six voices at once, each as loud as the others."""
    length = _BABBLE_SECONDS * SAMPLE_RATE
    mixed = np.zeros(length)
    for voice in range(_BABBLE_VOICES):
        parts = [part for part in sounds[voice::_BABBLE_VOICES] if len(part)] or list(sounds)
        one = np.resize(np.concatenate(parts[:200]).astype(np.float64), length)
        mixed += one / _level(one)
    return _clipped(mixed * _BABBLE_RMS / _level(mixed))


def _level(sound: npt.NDArray[np.int16] | npt.NDArray[np.float64]) -> float:
    """Root mean square; never 0."""
    return max(1e-3, float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))) if len(sound) else 1e-3


def poisson_bound(count: int, confidence: float = 0.95) -> float:
    """Upper confidence limit of a Poisson mean: at 95 %, 3.0 for no event, 4.7 for one."""
    low, high = 0.0, 10.0 + 3 * count
    for _ in range(60):
        mean = (low + high) / 2
        at_most = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1))
                      for k in range(count + 1))  # fmt: skip
        low, high = (mean, high) if at_most > 1 - confidence else (low, mean)
    return high


def _room(seconds: float) -> Sound:
    return (
        np.random.default_rng(0).normal(0, _ROOM_RMS, round(seconds * SAMPLE_RATE)).astype(np.int16)
    )


def _clipped(sound: npt.NDArray[np.float64]) -> Sound:
    return np.clip(sound, -32768, 32767).astype(np.int16)
