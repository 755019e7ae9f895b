"""Sound files of every rate, width and format, and damaged ones."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio.input.file import WavFile
from audio.pcm import AudioChunk
from config.errors import InputError
from tests.audio.conftest import RECORDINGS
from tests.audio.tones import RATE, TONE_HZ, pitch, samples, tone


def read(path: Path) -> list[AudioChunk]:
    with WavFile(path).open() as chunks:
        return list(chunks)


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
