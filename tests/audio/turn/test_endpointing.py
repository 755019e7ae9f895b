"""The tuned numbers of endpointing (docs/lab/hearing.md), each at its boundary.

They are written out here: whoever changes one must have measured it on recordings.
"""

import itertools

import pytest

from audio.turn import endpointing
from audio.turn.endpointing import endpoint_delay
from config.languages import LANGUAGES

ENGLISH, CHINESE = LANGUAGES["en"], LANGUAGES["zh"]
MIN_DELAY = 0.35
SENTENCE = ["the", "old", "man", "went", "home"]


def delay(pause: float = 0.0, text: str = "", *, masked: bool = False) -> float:
    words = text.split() or SENTENCE
    return endpoint_delay(words, pause, MIN_DELAY, ENGLISH, echo_masks_user=masked)


def test_a_whole_sentence_ends_after_the_shortest_delay() -> None:
    assert delay() == MIN_DELAY


@pytest.mark.parametrize(("count", "expected"), [(0, 1.1), (4, 1.1), (5, 0.35), (6, 0.35)])
def test_fewer_than_five_words_are_waited_for(count: int, expected: float) -> None:
    words = ["home"] * count
    assert endpoint_delay(words, 0.0, MIN_DELAY, ENGLISH) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "expected"), [(0, 1.1), (1, 1.1), (2, 0.35), (5, 0.35)])
def test_a_chinese_word_alone_is_waited_for(count: int, expected: float) -> None:
    words = ["春天"] * count
    assert endpoint_delay(words, 0.0, MIN_DELAY, CHINESE) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("last", "expected"),
    [("the", 1.1), ("because", 1.1), ("said", 1.1), ("home", 0.35), ("cat", 0.35)],
)
def test_a_word_that_ends_no_sentence_is_waited_for(last: str, expected: float) -> None:
    assert delay(0.0, f"she went to her house and {last}") == pytest.approx(expected)
    before = delay(0.0, f"she {last} went to her own house")  # in the middle it means nothing
    assert before == MIN_DELAY


def test_unfinished_words_are_those_of_the_language() -> None:
    assert endpoint_delay(["他", "因为"], 0.0, MIN_DELAY, CHINESE) == pytest.approx(1.1)
    assert endpoint_delay(["他", "home"], 0.0, MIN_DELAY, CHINESE) == MIN_DELAY


@pytest.mark.parametrize(
    ("pause", "expected"),
    [
        (0.49, 0.35),  # short pauses mean nothing
        (0.5, 0.85),  # from here on half as much again, and 0.1 s
        (0.6, 1.0),
        (0.66, 1.09),
        (0.67, 1.1),  # max_delay
        (5.0, 1.1),
    ],
)
def test_the_delay_grows_with_the_longest_pause(pause: float, expected: float) -> None:
    assert delay(pause) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("pause", "expected"),
    [
        (0.0, 0.47),  # 0.12 s more
        (0.29, 0.47),
        (0.3, 0.7),  # from here on twice the pause, and 0.1 s
        (0.5, 1.1),
        (0.56, 1.22),  # max_delay, 0.12 s later, too
        (5.0, 1.22),
    ],
)
def test_where_the_echo_masks_the_user_a_mistake_costs_more(pause: float, expected: float) -> None:
    assert delay(pause, masked=True) == pytest.approx(expected)


def test_few_words_are_waited_for_longest_where_the_echo_masks_the_user() -> None:
    assert delay(0.0, "once upon a", masked=True) == pytest.approx(1.22)


def test_a_long_shortest_delay_is_never_undercut() -> None:
    assert endpoint_delay(SENTENCE, 0.5, 2.0, ENGLISH) == 2.0
    assert endpoint_delay(SENTENCE, 5.0, 2.0, ENGLISH) == pytest.approx(2.75)


def test_the_delay_is_always_between_its_limits_and_never_falls_with_the_pause() -> None:
    for masked, shortest in itertools.product((False, True), (0.1, 0.35, 1.5)):
        delays = [
            endpoint_delay(SENTENCE, hundredths / 100, shortest, ENGLISH, echo_masks_user=masked)
            for hundredths in range(300)
        ]
        extra = 0.12 * masked
        assert min(delays) == pytest.approx(shortest + extra)
        assert max(delays) == pytest.approx(shortest + extra + 0.75)
        assert delays == sorted(delays)


def test_the_pauses_that_the_capture_uses() -> None:
    assert endpointing.PAUSE_SECONDS == 0.15
    assert endpointing.STABLE_WORDS_SECONDS == 0.2
    assert endpointing.NO_WORDS_SECONDS == 1.0
