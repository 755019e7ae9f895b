"""A seed from a file is told when its speaker cannot go on any more."""

from audio.events import Resumed, Seed, Triggered
from audio.turn.resumption import SECONDS, FinalSeedFilter

TRIGGER, EARLY, WHOLE = Triggered("hey computer", 1.0), Seed("a fox", 2.0), Seed("a fox sat", 3.0)


def test_a_seed_is_told_when_it_is_certain() -> None:
    patience = FinalSeedFilter()
    assert patience.settle([TRIGGER, EARLY], 2.5) == [TRIGGER]
    assert patience.settle([], 2.5 + SECONDS - 0.1) == []
    assert patience.settle([], 2.5 + SECONDS) == [EARLY]
    assert patience.settle([], 9.0) == []


def test_a_seed_that_is_taken_back_is_never_told() -> None:
    patience = FinalSeedFilter()
    patience.settle([EARLY], 2.5)
    assert patience.settle([Resumed()], 2.8) == []
    assert patience.settle([WHOLE], 3.5) == []
    assert patience.finish() == [WHOLE]
    assert patience.finish() == []


def test_a_trigger_makes_the_seed_before_it_certain() -> None:
    patience = FinalSeedFilter()
    patience.settle([EARLY], 2.5)
    assert patience.settle([TRIGGER], 3.0) == [EARLY, TRIGGER]
