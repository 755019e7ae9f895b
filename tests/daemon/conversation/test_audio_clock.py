"""Audio time goes on over all openings of the sources."""

import time

import pytest

from audio.pcm import SAMPLE_RATE, AudioChunk
from daemon.conversation.audio_clock import AudioClock

CHUNKS = [AudioChunk(bytes(2560), SAMPLE_RATE, number * 0.08) for number in range(1, 4)]


class Clock:
    """The monotonic clock, set by the test."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_a_file_keeps_its_times(clock: Clock) -> None:
    audio = AudioClock(live=False)
    clock.seconds += 5
    assert list(audio.stamped(CHUNKS)) == CHUNKS
    clock.seconds += 5
    assert audio.now == CHUNKS[-1].end_seconds
    assert audio.monotonic(0.1) is None


def test_an_opening_follows_on_the_one_before_after_the_time_between(clock: Clock) -> None:
    audio = AudioClock(live=True)
    for closed_seconds in (0.0, 3600.0, 0.5):
        before = audio.now
        clock.seconds += closed_seconds
        times = [chunk.end_seconds for chunk in audio.stamped(CHUNKS)]
        assert times == pytest.approx([before + closed_seconds + c.end_seconds for c in CHUNKS])
        assert audio.now == times[-1]


def test_now_goes_on_while_the_microphone_is_closed(clock: Clock) -> None:
    audio = AudioClock(live=True)
    clock.seconds += 60
    assert audio.now == 60  # closed since the start
    list(audio.stamped(CHUNKS))
    clock.seconds += 7
    assert audio.now == pytest.approx(60 + 0.24 + 7)
    assert audio.monotonic(60.2) == pytest.approx(1060 - 0.04)
    assert audio.monotonic(None) is None


def test_an_empty_chunk_is_no_sound(clock: Clock) -> None:
    audio = AudioClock(live=True)
    chunks = audio.stamped([CHUNKS[0], AudioChunk(b"", SAMPLE_RATE, 0.08)])
    assert next(chunks).end_seconds == 0.08
    clock.seconds += 1
    assert next(chunks).end_seconds == 0.08
    assert audio.now == pytest.approx(1.08)
