"""The echo of replies is measured, and a louder user is noticed."""

import numpy as np

from audio.turn.echo_level import EchoLevel


def noise(level: float) -> bytes:
    """0.1 s of noise with this RMS level."""
    return np.random.default_rng(1).normal(0, level, 1600).astype("<i2").tobytes()


def after_replies(*levels: float) -> EchoLevel:
    echo = EchoLevel()
    for level in levels:
        for _ in range(10):
            echo.observe(noise(level), playing=True)
        echo.observe(noise(9000), playing=False)  # what the user says in between is not ours
    return echo


def test_no_user_is_louder_than_an_unknown_echo() -> None:
    echo = EchoLevel()
    assert not echo.user_is_louder(noise(9000))
    echo.observe(noise(10), playing=True)  # the first reply has not come to its end
    assert not echo.user_is_louder(noise(9000))
    assert not echo.masks(-90)


def test_a_voice_is_noticed_from_twice_the_level_on() -> None:
    echo = after_replies(1000)
    assert [echo.user_is_louder(noise(level)) for level in (500, 1000, 1800, 2200)] == [
        *(False, False, False),
        True,
    ]
    assert echo.masks(-25)  # 1000 is -30 dB
    assert not echo.masks(-23)


def test_a_moment_that_is_louder_is_not_taken_for_the_reply() -> None:
    echo = EchoLevel()
    for level in [1000] * 30 + [9000]:
        echo.observe(noise(level), playing=True)
    echo.observe(b"", playing=False)
    assert echo.user_is_louder(noise(2500))


def test_one_reply_that_was_talked_over_does_not_count() -> None:
    assert after_replies(100, 9000, 100).user_is_louder(noise(1000))
    assert after_replies(100, 9000).user_is_louder(noise(1000))
    assert not after_replies(100, 100, 100, 2000, 2000).user_is_louder(noise(1000))


def test_what_sounds_under_a_user_is_forgotten() -> None:
    echo = after_replies(100)
    echo.observe(noise(9000), playing=True)
    echo.discard_current()
    for _ in range(3):
        echo.observe(noise(9000), playing=True)
        echo.discard_current()
        echo.observe(b"", playing=False)
    assert echo.user_is_louder(noise(1000))


def test_a_phrase_over_a_reply_is_its_users_where_it_is_louder() -> None:
    echo = after_replies(1000)
    for _ in range(30):
        echo.observe(noise(1000), playing=True)
    assert not echo.phrase_is_louder(noise(1800) * 5, 0.5)
    assert echo.phrase_is_louder(noise(2200) * 5, 0.5)
    assert not echo.phrase_is_louder(b"", 0.5)
    assert not EchoLevel().phrase_is_louder(noise(9000) * 5, 0.5)


def test_a_loudspeaker_that_was_turned_up_says_no_phrase_of_a_user() -> None:
    echo = after_replies(1000, 1000, 1000)
    for level in [3000] * 30 + [2500] * 16:  # its echo phrase is the last half second
        echo.observe(noise(level), playing=True)
    assert echo.user_is_louder(noise(2500))
    assert not echo.phrase_is_louder(noise(2500) * 5, 0.5)


def test_what_a_user_says_over_a_reply_does_not_hide_it() -> None:
    echo = after_replies(1000)
    for level in [1000] * 30 + [5000] * 16:
        echo.observe(noise(level), playing=True)
    assert echo.phrase_is_louder(noise(5000) * 5, 0.5)
