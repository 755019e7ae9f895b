"""Cues: the built-in tones, the user's files, or none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio.output.buffer import PlaybackBuffer
from audio.output.cues import NAMES, load_cues
from audio.tts.sound import RATE
from config.errors import ConfigError


def test_our_own_are_short_differ_and_do_not_click() -> None:
    cues = load_cues(dict.fromkeys(NAMES, True), 0.5)
    assert len({sound.tobytes() for sound in cues.values()}) == len(NAMES)
    for sound in cues.values():
        assert len(sound) / RATE < 0.3
        assert 0.4 < np.abs(sound).max() / 32_768 <= 0.5
        assert max(abs(sound[0]), abs(sound[-1])) < 10


def test_off_is_no_sound_and_a_file_of_any_rate_is_taken(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.linspace(0, 600, 4_000))
    soundfile.write(tmp_path / "own.wav", np.stack([tone, tone], axis=1), 8_000)
    cues = load_cues({"trigger": str(tmp_path / "own.wav"), "error": False}, 1.0)
    assert list(cues) == ["trigger"]
    assert len(cues["trigger"]) == pytest.approx(0.5 * RATE, abs=2)


@pytest.mark.parametrize(
    ("seconds", "reason"), [(None, "is not a sound file"), (4.0, "lasts 4.0 s; a cue has at most")]
)
def test_what_is_no_cue(seconds: float | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    if seconds:
        soundfile.write(path, np.zeros(int(8_000 * seconds)), 8_000)
    with pytest.raises(ConfigError, match=f"cues.nothing: .*{reason}"):
        load_cues({"nothing": str(path)}, 1.0)


def test_a_held_feed_is_silent_loses_nothing_and_goes_on() -> None:
    feed, block = PlaybackBuffer(4), np.zeros(4, np.int16)
    feed.put(np.arange(100, 116, dtype=np.int16))
    feed.fill(block)
    assert list(block) == [100, 101, 102, 103]
    feed.pause_until(float("inf"))
    feed.fill(block)  # fades out
    assert (block[0], block[-1]) == (104, 0)
    assert feed.fill(block) == 0
    assert not block.any()
    feed.pause_until(0)
    feed.fill(block)  # fades in
    assert (block[0], block[-1]) == (0, 111)
    feed.fill(block)
    assert list(block) == [112, 113, 114, 115]


def test_a_held_feed_that_is_stopped_is_empty() -> None:
    feed, block = PlaybackBuffer(4), np.zeros(4, np.int16)
    feed.put(np.ones(400, np.int16))
    feed.pause_until(float("inf"))
    feed.fill(block)
    feed.fade()
    feed.fill(block)
    assert (feed.fading, feed.pending) == (False, 0)
