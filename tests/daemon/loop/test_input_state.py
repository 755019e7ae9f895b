"""The state of the microphone: attempts, recoveries and dropped blocks."""

import pytest

from audio.input.microphone import RETRY_SECONDS
from daemon.conversation.publisher import MUTED, OPEN, SILENT
from daemon.loop.input_state import InputState
from tests.daemon.fakes import Source

MISSING = "No microphone was found."


def input_state(*, muted: bool = False, retry: bool = False, drops: int = 0) -> InputState:
    return InputState(Source(1, live=True, drops=drops), muted=muted, retry=retry)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 0.25), (1, 0.5), (2, 1.0), (3, 1.5), (4, 1.5), (1000, 1.5)]
)
def test_retries_slow_down_and_then_keep_their_pace(attempts: int, seconds: float) -> None:
    state = input_state()
    state.attempts = attempts
    assert state.retry_seconds == seconds <= RETRY_SECONDS[-1]


@pytest.mark.parametrize(
    ("muted", "retry", "expected"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_a_source_that_starts_muted_is_retried(muted: bool, retry: bool, expected: bool) -> None:
    assert input_state(muted=muted, retry=retry).retry is expected


@pytest.mark.parametrize(
    ("states", "first_sound", "recoveries"),
    [
        ([OPEN], [True], 0),
        ([MISSING, OPEN], [False, True], 0),
        ([MUTED, OPEN], [False, True], 0),
        ([OPEN, MISSING, OPEN], [True, False, False], 1),
        ([OPEN, MISSING, "No sound server.", OPEN], [True, False, False, False], 1),
        ([OPEN, MISSING, OPEN, MISSING, OPEN], [True, False, False, False, False], 2),
        ([OPEN, MUTED, OPEN], [True, False, True], 0),
        ([OPEN, MISSING, MUTED, OPEN], [True, False, False, True], 0),
        ([OPEN, MUTED, MISSING, OPEN], [True, False, False, True], 0),
        ([OPEN, MISSING, MUTED, MISSING, OPEN], [True, False, False, False, True], 0),
        ([OPEN, MUTED, MISSING, OPEN, MISSING, OPEN], [True, False, False, True, False, False], 1),
        ([OPEN, SILENT, OPEN], [True, False, False], 0),
        ([OPEN, SILENT, MISSING, OPEN], [True, False, False, False], 1),
    ],
)
def test_recoveries_are_told_from_unmuting_and_from_silence(
    states: list[str], first_sound: list[bool], recoveries: int
) -> None:
    state = input_state()
    assert [state.set(new) for new in states] == first_sound
    assert (state.state, state.recoveries) == (states[-1], recoveries)


@pytest.mark.parametrize(
    ("state", "is_open"),
    [("", False), (OPEN, True), (SILENT, True), (MUTED, False), (MISSING, False)],
)
def test_digital_silence_is_sound(state: str, is_open: bool) -> None:
    one = input_state()
    one.set(state)
    assert one.is_open is is_open


def test_drops_of_replaced_sources_are_added() -> None:
    state = input_state(drops=3)
    second, third = Source(1, drops=4), Source(1, drops=0)
    state.replace(second)
    assert (state.source, state.drops) == (second, 7)
    second.drops = 5
    state.replace(third)
    third.drops = 1
    assert (state.source, state.drops) == (third, 9)
