"""The user's voice is told from others by its level; levels in dB, of frames of 32 ms."""

from collections.abc import Iterator

import numpy as np
import pytest

from audio.pcm import SAMPLE_RATE
from audio.turn.user_voice import UserVoice
from audio.vad import FRAME_SECONDS

FRAME = round(FRAME_SECONDS * SAMPLE_RATE)
USER = -30.0
SILENCE = -90.0


class LoudIsVoice:
    """Stands in for the detector: all but silence is a voice."""

    def reset(self) -> None:
        pass

    def frames(self, pcm: bytes) -> Iterator[tuple[bytes, bool]]:
        for at in range(0, len(pcm), 2 * FRAME):
            frame = pcm[at : at + 2 * FRAME]
            yield frame, bool(np.abs(np.frombuffer(frame, "<i2")).max() > 5)


def sound(*parts: tuple[float, float]) -> bytes:
    """Square waves, each of so many seconds and so loud."""
    pieces = []
    for seconds, level in parts:
        wave = np.ones(round(seconds / FRAME_SECONDS) * FRAME) * 32768 * 10 ** (level / 20)
        wave[::2] *= -1
        pieces.append(wave)
    return np.concatenate(pieces).astype("<i2").tobytes()


def heard(room: float | None, *parts: tuple[float, float]) -> UserVoice:
    voice = UserVoice(LoudIsVoice())  # type: ignore[arg-type]
    before = b"" if room is None else sound((3.0, room))
    voice.begin(before, sound((0.8, USER)))
    voice.accept(sound(*parts))
    return voice


def quiet(room: float | None, *parts: tuple[float, float]) -> float:
    voice = heard(room, *parts)
    return voice.accept(b"")


@pytest.mark.parametrize("below", [18, 20, 30])
def test_a_voice_of_the_room_is_silence(below: float) -> None:
    after = quiet(USER - below, (1.6, USER), (1.6, USER - below))
    assert after == pytest.approx(1.6 - 0.2, abs=0.05)  # a silence with a voice must be longer


def test_a_voice_of_the_room_before_the_seed_is_no_seed() -> None:
    voice = heard(USER - 20, (1.6, USER - 20))
    assert voice.voiced_seconds == 0
    voice.accept(sound((0.96, USER)))
    assert voice.voiced_seconds == pytest.approx(0.96, abs=0.05)


def test_words_of_the_room_are_not_the_users() -> None:
    voice = heard(USER - 20, (1.6, USER - 20), (1.6, USER), (1.6, USER - 20))
    assert voice.is_other(0.5, 0.9)
    assert not voice.is_other(1.5, 1.9)
    assert not voice.is_other(2.0, 2.4)
    assert voice.is_other(3.5, 3.9)
    assert voice.is_other(3.1, 3.6)  # a word of the room that begins in the user's
    assert not voice.is_other(3.0, 3.3)
    assert voice.is_other_heard


def test_in_a_silent_room_nobody_else_speaks() -> None:
    voice = heard(SILENCE, (1.6, USER), (0.8, SILENCE))
    assert voice.accept(b"") == pytest.approx(0.8, abs=0.05)
    assert not voice.is_other(1.7, 2.0)  # a word that comes late
    assert not voice.is_other_heard


@pytest.mark.parametrize("softer", [6, 12])
def test_a_user_who_turns_away_goes_on(softer: float) -> None:
    for room in (SILENCE, USER - 30):
        assert quiet(room, (1.6, USER), (3.2, USER - softer)) == 0


def test_a_whispered_seed_is_heard_in_a_silent_room() -> None:
    voice = heard(SILENCE, (0.96, SILENCE), (1.92, USER - 20))
    assert voice.voiced_seconds == pytest.approx(1.92, abs=0.05)
    assert voice.accept(b"") == 0


def test_a_soft_end_of_a_sentence_is_heard_but_not_for_ever() -> None:
    assert quiet(SILENCE, (1.6, USER), (0.4, USER - 20)) == 0
    assert quiet(SILENCE, (1.6, USER), (1.28, USER - 20)) == pytest.approx(0.5, abs=0.05)


def test_a_user_who_goes_on_after_a_soft_part_is_heard() -> None:
    voice = heard(SILENCE, (1.6, USER), (1.28, USER - 20), (0.32, USER))
    assert voice.accept(b"") == 0
    assert not voice.is_other(2.5, 2.8)


def test_noise_that_is_always_a_voice_cannot_be_told_from_one() -> None:
    assert not heard(USER, (3.2, USER)).is_told_from_noise
    assert heard(USER, (1.6, USER), (0.32, SILENCE), (1.6, USER)).is_told_from_noise
    assert heard(SILENCE, (3.2, USER)).is_told_from_noise
    assert not heard(None, (3.2, USER)).is_told_from_noise
