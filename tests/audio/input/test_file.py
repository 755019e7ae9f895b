"""Sound files of every rate, width and format, and damaged ones."""

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio.input import sound_file
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


def test_channels_of_opposite_sign_do_not_cancel_each_other(tmp_path: Path) -> None:
    path = tmp_path / "sides.wav"
    sf.write(path, np.column_stack([tone(RATE), -tone(RATE)]), RATE)
    sound = samples(read(path))
    assert pitch(sound) == pytest.approx(TONE_HZ, abs=2)
    assert np.abs(sound).max() == pytest.approx(16384, rel=0.02)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(
    ("kind", "width"),
    [
        ("WAV", "GSM610"),  # of telephones
        ("WAV", "ALAW"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "MS_ADPCM"),
        ("WAV", "G721_32"),
        ("WAV", "NMS_ADPCM_32"),
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("W64", "GSM610"),
        ("AIFF", "PCM_16"),
        ("AIFF", "GSM610"),
        ("AU", "ULAW"),
        ("CAF", "ALAC_16"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_any_codec(kind: str, width: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / "tone"
    sf.write(path, tone(rate), rate, subtype=width, format=kind)
    sound = samples(read(path))
    assert len(sound) == pytest.approx(RATE, rel=0.05)
    assert pitch(sound) == pytest.approx(TONE_HZ, abs=5)


def wav(path: Path, width: str = "PCM_16", kind: str = "WAV", channels: int = 1) -> bytearray:
    """A second of a tone as a WAV file."""
    sf.write(path, np.column_stack([tone(RATE)] * channels), RATE, subtype=width, format=kind)
    return bytearray(path.read_bytes())


def set_lengths(data: bytearray, riff: int, sound: int, more: bytes = b"") -> bytes:
    """The WAV file with other lengths in its header, and `more` chunks before the sound."""
    at = data.index(b"data")
    data[4:8] = riff.to_bytes(4, "little")
    data[at + 4 : at + 8] = sound.to_bytes(4, "little")
    data[at:at] = more
    return bytes(data)


@pytest.mark.parametrize(
    "lengths",
    [(0, 0), (36, 0), (32036, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0), (0x7FFFFFFF,) * 2],
)
@pytest.mark.parametrize("width", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "GSM610", "IMA_ADPCM"])
def test_a_wav_file_whose_header_gives_no_length(
    lengths: tuple[int, int], width: str, tmp_path: Path
) -> None:
    path = tmp_path / "streamed.wav"
    note = b"LIST" + (26).to_bytes(4, "little") + b"INFOISFT\x0e\0\0\0Lavf58.76.100\0"
    for more in (b"", note):
        path.write_bytes(set_lengths(wav(path, width), *lengths, more))
        sound = samples(read(path))
        assert len(sound) == pytest.approx(RATE, rel=0.05)
        assert pitch(sound) == pytest.approx(TONE_HZ, abs=5)


def test_streamed_files_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "streamed.wav"
    path.write_bytes(set_lengths(wav(path, kind="WAVEX", channels=2), 0, 0))
    assert len(samples(read(path))) == RATE
    data = wav(path, kind="RF64")
    at = data.index(b"ds64") + 8
    data[at : at + 16] = bytes(16)
    path.write_bytes(data)
    assert len(samples(read(path))) == RATE


def test_a_file_without_sound_but_with_notes_behind_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    note = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    empty = (RECORDINGS / "empty.wav").read_bytes()
    path.write_bytes(empty + note)
    assert read(path) == []


def test_a_truncated_file_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    for width in ("PCM_16", "GSM610", "IMA_ADPCM", "FLOAT"):
        data = wav(path, width)
        path.write_bytes(data[: len(data) // 2 + 1])
        assert len(samples(read(path))) == pytest.approx(RATE / 2, rel=0.1)


def test_a_channel_without_numbers_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    for rate in (8000, RATE):
        broken = np.full(rate, np.nan)
        broken[::3] = np.inf
        sides = np.column_stack([tone(rate), np.where(np.arange(rate) % 2, np.nan, 0)])
        sf.write(path, sides, rate, subtype="FLOAT")
        assert pitch(samples(read(path))) == pytest.approx(TONE_HZ, abs=2)
        sf.write(path, broken, rate, subtype="DOUBLE")
        assert len(samples(read(path))) == pytest.approx(RATE, abs=2)


def test_a_pipe_is_read_to_its_end_and_may_be_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = set_lengths(wav(tmp_path / "tone.wav"), 0, 0)
    writer = threading.Thread(target=path.write_bytes, args=[data])
    writer.start()
    source = WavFile(path)
    for _ in range(2):
        with source.open() as chunks:
            assert len(samples(list(chunks))) == RATE
    writer.join()


def test_an_endless_pipe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(sound_file, "_PIPE_BYTES", 3 * 2**20)
    with (
        subprocess.Popen(["dd", "if=/dev/zero", f"of={path}"], stderr=subprocess.DEVNULL),
        pytest.raises(InputError, match=f"More than 3 MB of sound come through {path}"),
    ):
        read(path)


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
