"""Whether somebody is louder than the loudspeaker."""

import numpy as np

from audio.turn.echo_level import EchoLevel


def noise(level: float) -> bytes:
    """A tenth of a second of this root mean square."""
    return np.random.default_rng(1).normal(0, level, 1600).astype("<i2").tobytes()


def after_replies(*levels: float) -> EchoLevel:
    own = EchoLevel()
    for level in levels:
        for _ in range(10):
            own.note(noise(level), sounding=True)
        own.note(noise(9000), sounding=False)  # what the user says in between is not ours
    return own


def test_nobody_is_louder_than_what_is_not_known() -> None:
    own = EchoLevel()
    assert not own.is_below(noise(9000))
    own.note(noise(10), sounding=True)  # the first reply has not come to its end
    assert not own.is_below(noise(9000))
    assert not own.would_drown(-90)


def test_a_voice_is_noticed_from_twice_the_level_on() -> None:
    own = after_replies(1000)
    assert [own.is_below(noise(level)) for level in (500, 1000, 1800, 2200)] == [
        *(False, False, False),
        True,
    ]
    assert own.would_drown(-25)  # 1000 is -30 dB
    assert not own.would_drown(-23)


def test_a_moment_that_is_louder_is_not_taken_for_the_reply() -> None:
    own = EchoLevel()
    for level in [1000] * 30 + [9000]:
        own.note(noise(level), sounding=True)
    own.note(b"", sounding=False)
    assert own.is_below(noise(2500))


def test_one_reply_that_was_talked_over_does_not_count() -> None:
    assert after_replies(100, 9000, 100).is_below(noise(1000))
    assert after_replies(100, 9000).is_below(noise(1000))
    assert not after_replies(100, 100, 100, 2000, 2000).is_below(noise(1000))


def test_what_sounds_under_a_user_is_forgotten() -> None:
    own = after_replies(100)
    own.note(noise(9000), sounding=True)
    own.forget()
    for _ in range(3):
        own.note(noise(9000), sounding=True)
        own.forget()
        own.note(b"", sounding=False)
    assert own.is_below(noise(1000))


def test_a_phrase_over_a_reply_is_its_users_where_it_is_louder() -> None:
    own = after_replies(1000)
    for _ in range(30):
        own.note(noise(1000), sounding=True)
    assert not own.is_below_phrase(noise(1800) * 5, 0.5)
    assert own.is_below_phrase(noise(2200) * 5, 0.5)
    assert not own.is_below_phrase(b"", 0.5)
    assert not EchoLevel().is_below_phrase(noise(9000) * 5, 0.5)


def test_a_loudspeaker_that_was_turned_up_says_no_phrase_of_a_user() -> None:
    own = after_replies(1000, 1000, 1000)
    for level in [3000] * 30 + [2500] * 16:  # its own phrase is the last half second
        own.note(noise(level), sounding=True)
    assert own.is_below(noise(2500))
    assert not own.is_below_phrase(noise(2500) * 5, 0.5)


def test_what_a_user_says_over_a_reply_does_not_hide_it() -> None:
    own = after_replies(1000)
    for level in [1000] * 30 + [5000] * 16:
        own.note(noise(level), sounding=True)
    assert own.is_below_phrase(noise(5000) * 5, 0.5)
