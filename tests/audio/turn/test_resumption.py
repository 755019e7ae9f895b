"""A seed of a recording is passed on when it can no longer be resumed."""

from audio.events import Event, Resumed, Seed, Triggered, VoiceCommand
from audio.turn.resumption import RESUMPTION_SECONDS, FinalSeedFilter

TRIGGER, EARLY, WHOLE = Triggered("hey computer", 1.0), Seed("a fox", 2.0), Seed("a fox sat", 3.0)


def test_a_seed_is_passed_on_when_it_is_certain() -> None:
    seeds = FinalSeedFilter()
    assert seeds.filter([TRIGGER, EARLY], 2.5) == [TRIGGER]
    assert seeds.filter([], 2.5 + RESUMPTION_SECONDS - 0.1) == []
    assert seeds.filter([], 2.5 + RESUMPTION_SECONDS) == [EARLY]
    assert seeds.filter([], 9.0) == []


def test_a_seed_that_is_taken_back_is_never_passed_on() -> None:
    seeds = FinalSeedFilter()
    seeds.filter([EARLY], 2.5)
    assert seeds.filter([Resumed()], 2.8) == []
    assert seeds.filter([WHOLE], 3.5) == []
    assert seeds.finish() == [WHOLE]
    assert seeds.finish() == []


def test_a_trigger_makes_the_seed_before_it_certain() -> None:
    seeds = FinalSeedFilter()
    seeds.filter([EARLY], 2.5)
    assert seeds.filter([TRIGGER], 3.0) == [EARLY, TRIGGER]


def test_a_command_after_a_trigger_is_delayed_as_a_seed_is_and_another_is_not() -> None:
    seeds = FinalSeedFilter()
    at_once: Event = VoiceCommand("again", "again", False, 2.0)
    assert seeds.filter([at_once], 2.5) == [at_once]
    delayed = VoiceCommand("go on", "go on", True, 2.0)
    assert seeds.filter([delayed], 2.5) == []
    assert seeds.filter([Resumed()], 2.8) == []
    assert seeds.filter([delayed], 3.0) == []
    assert seeds.filter([], 3.0 + RESUMPTION_SECONDS) == [delayed]
