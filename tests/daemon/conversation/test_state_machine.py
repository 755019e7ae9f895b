from dataclasses import replace

import pytest

from audio.events import (
    Event,
    NoSpeech,
    Partial,
    Paused,
    Resumed,
    Seed,
    Triggered,
    TriggerSuspected,
    VoiceCommand,
)
from daemon.conversation.state_machine import (
    CancelCapture,
    CancelReply,
    Ended,
    Muted,
    Order,
    PauseReply,
    Phase,
    PlayCue,
    PrepareReply,
    ReplyEvent,
    SeedTyped,
    Sentence,
    StartReply,
    State,
    StopRequested,
    UserEvent,
    step,
)

TRIGGER = Triggered("hey computer", 1.0)
LISTENING, CAPTURING = State(Phase.LISTENING, 3), State(Phase.CAPTURING, 3)
THINKING = State(Phase.THINKING, 3, "a fox")
SPEAKING = State(Phase.SPEAKING, 3, "a fox", ("came.", "It slept."))
AFTER = State(Phase.LISTENING, 3, "a fox", ("came.", "It slept."))
MORE = StartReply(4, "a fox came. It slept.")
AGAIN = StartReply(4, "a fox", sentences=("came.", "It slept."))
SILENCED = (CancelReply(), CancelCapture())
ASKED = State(Phase.CAPTURING, 3, "a fox", ("came.", "It slept."))


def walk(events: list[Event | ReplyEvent], state: State | None = None) -> tuple[State, list[Order]]:
    state, given = state or State(), []
    for event in events:
        state, orders = step(state, event)
        given += orders
    return state, given


def command(kind: str, phrase: str = "") -> VoiceCommand:
    """Said without a trigger."""
    return VoiceCommand(kind, phrase or kind, False, 1.0)


def after_trigger(kind: str) -> VoiceCommand:
    return VoiceCommand(kind, kind, True, 1.0)


def without_cues(orders: list[Order] | tuple[Order, ...]) -> tuple[Order, ...]:
    """The orders without the cues."""
    return tuple(order for order in orders if not isinstance(order, PlayCue))


def test_one_exchange() -> None:
    state, orders = walk(
        [
            TriggerSuspected("hey computer"),
            TRIGGER,
            Partial("a"),
            Seed("a fox", 3.0),
            Sentence(1, "ran off."),
        ]
    )
    cues = [PlayCue("trigger"), StartReply(1, "a fox", 3.0), PlayCue("captured")]
    assert (state.phase, state.turn, orders) == (Phase.SPEAKING, 1, cues)
    state, orders = walk([Sentence(1, "It slept."), Ended(1)], state)
    assert (state, orders) == (State(Phase.LISTENING, 1, "a fox", ("ran off.", "It slept.")), [])


@pytest.mark.parametrize(
    ("before", "event", "after", "orders"),
    [
        (LISTENING, TRIGGER, Phase.CAPTURING, ()),
        (LISTENING, Seed("a fox", 2.0), Phase.LISTENING, ()),
        (LISTENING, Ended(3), Phase.LISTENING, ()),
        (CAPTURING, TRIGGER, Phase.CAPTURING, ()),
        (CAPTURING, NoSpeech("silence"), Phase.LISTENING, ()),
        (CAPTURING, Seed("a fox", 2.0), Phase.THINKING, (StartReply(4, "a fox", 2.0),)),
        (CAPTURING, Paused("a fox"), Phase.CAPTURING, (PrepareReply("a fox"),)),
        (LISTENING, Paused("a fox"), Phase.LISTENING, ()),
        (CAPTURING, Ended(3), Phase.CAPTURING, ()),
        (CAPTURING, Sentence(3, "Late."), Phase.CAPTURING, ()),
        (THINKING, Sentence(3, "Hello."), Phase.SPEAKING, ()),
        (THINKING, Ended(3), Phase.LISTENING, ()),
        (THINKING, TRIGGER, Phase.CAPTURING, (CancelReply(),)),
        (THINKING, Seed("a fox", 2.0), Phase.THINKING, ()),
        (SPEAKING, TRIGGER, Phase.CAPTURING, (CancelReply(),)),
        (SPEAKING, Ended(2), Phase.SPEAKING, ()),
        (SPEAKING, Sentence(2, "Old."), Phase.SPEAKING, ()),
        (SPEAKING, NoSpeech("silence"), Phase.SPEAKING, ()),
        (SPEAKING, Ended(3, ValueError("no")), Phase.LISTENING, ()),
        (THINKING, Resumed(), Phase.CAPTURING, (CancelReply(),)),
        (SPEAKING, Resumed(), Phase.CAPTURING, (CancelReply(),)),
        (LISTENING, Resumed(), Phase.CAPTURING, ()),
        (LISTENING, SeedTyped("a crow"), Phase.THINKING, (StartReply(4, "a crow"),)),
        (
            CAPTURING,
            SeedTyped("a crow"),
            Phase.THINKING,
            (CancelCapture(), StartReply(4, "a crow")),
        ),
        (SPEAKING, SeedTyped("a crow"), Phase.THINKING, (*SILENCED, StartReply(4, "a crow"))),
        (LISTENING, StopRequested(), Phase.LISTENING, ()),
        (CAPTURING, StopRequested(), Phase.CAPTURING, ()),
        (THINKING, StopRequested(), Phase.LISTENING, SILENCED),
        (SPEAKING, StopRequested(), Phase.LISTENING, SILENCED),
        (CAPTURING, Muted(), Phase.LISTENING, (CancelCapture(),)),
        (SPEAKING, Muted(), Phase.SPEAKING, (CancelCapture(),)),
        (SPEAKING, TriggerSuspected("hey computer"), Phase.SPEAKING, (PauseReply(),)),
        (LISTENING, TriggerSuspected("hey computer"), Phase.LISTENING, ()),
        (THINKING, command("stop"), Phase.LISTENING, SILENCED),
        (SPEAKING, command("stop"), Phase.LISTENING, SILENCED),
        (SPEAKING, command("stop", "came"), Phase.SPEAKING, ()),
        (SPEAKING, command("go on"), Phase.SPEAKING, ()),
        (LISTENING, command("stop"), Phase.LISTENING, ()),
        (AFTER, command("go on"), Phase.THINKING, (MORE,)),
        (AFTER, command("again"), Phase.THINKING, (AGAIN,)),
        (AFTER, command("again", "it slept"), Phase.LISTENING, ()),
        (
            LISTENING,
            command("again"),
            Phase.LISTENING,
            (CancelCapture(),),
        ),
        (ASKED, after_trigger("go on"), Phase.THINKING, (MORE,)),
        (ASKED, after_trigger("again"), Phase.THINKING, (AGAIN,)),
        (
            ASKED,
            after_trigger("never mind"),
            Phase.LISTENING,
            (CancelCapture(),),
        ),
        (CAPTURING, after_trigger("go on"), Phase.LISTENING, (CancelCapture(),)),
        (SPEAKING, after_trigger("again"), Phase.SPEAKING, ()),
    ],
)
def test_transitions(
    before: State, event: Event | ReplyEvent | UserEvent, after: Phase, orders: tuple[Order, ...]
) -> None:
    state, given = step(before, event)
    assert (state.phase, without_cues(given)) == (after, orders)


@pytest.mark.parametrize(
    ("before", "event", "cue"),
    [
        (LISTENING, TRIGGER, "trigger"),
        (SPEAKING, TRIGGER, "trigger"),
        (CAPTURING, Seed("a fox", 2.0), "captured"),
        (CAPTURING, NoSpeech("silence"), "nothing"),
        (CAPTURING, after_trigger("never mind"), "nothing"),
        (SPEAKING, Ended(3, ValueError("no")), "error"),
    ],
)
def test_cues(before: State, event: Event | ReplyEvent | UserEvent, cue: str) -> None:
    _, given = step(before, event)
    assert given[-1] == PlayCue(cue)


def test_a_resumed_seed_is_answered_when_it_is_whole() -> None:
    early = [
        TRIGGER,
        Seed("a fox", 2.0),
        Sentence(1, "ran off."),
        Resumed(),
        Seed("a fox sat", 4.0),
    ]
    state, orders = walk([*early, Sentence(1, "Late."), Ended(1), Sentence(2, "still.")])
    assert (state.seed, state.spoken) == ("a fox sat", ("still.",))
    assert without_cues(orders) == (
        StartReply(1, "a fox", 2.0),
        CancelReply(),
        StartReply(2, "a fox sat", 4.0),
    )


def test_going_on_twice_carries_the_whole_text_on() -> None:
    state, orders = walk([command("go on"), Sentence(4, "It woke."), Ended(4)], AFTER)
    state, orders = walk([command("go on")], state)
    assert orders == [StartReply(5, "a fox came. It slept. It woke.")]


def test_only_words_that_are_playing_can_be_an_echo() -> None:
    lines = ("Hey computer.", "A.", "B.")
    for sounding, dropped in [("say, Hey computer", True), ("A. B.", False), (None, True)]:
        state = State(Phase.SPEAKING, 3, "a fox", lines, sounding)
        assert (CancelCapture() in step(state, TRIGGER)[1]) == dropped, sounding


@pytest.mark.parametrize(
    "text", ['"Hey, computer!" said the fox.', "HEY COMPUTER", "They say hey computer."]
)
def test_a_reply_that_says_the_phrase_does_not_interrupt_itself(text: str) -> None:
    state, orders = walk([TRIGGER, Seed("a fox", 2.0), Sentence(1, text), TRIGGER])
    assert state.phase is Phase.SPEAKING
    assert orders[-1] == CancelCapture()


def test_the_phrase_inside_other_words_is_not_the_phrase() -> None:
    said = Sentence(1, "They computerised it.")
    state, orders = walk([TRIGGER, Seed("a fox", 2.0), said, TRIGGER])
    assert (state.phase, without_cues(orders)[-1]) == (Phase.CAPTURING, CancelReply())


@pytest.mark.parametrize(
    ("seed", "playing", "is_echo"),
    [
        ("tasty he looked", "eat something tasty. He looked around", True),
        ("tasty he looked", "", False),
        ("tasty he looked once", "eat something tasty. He looked around", False),
        ("他看见", "他看见了一座山", True),
    ],
)
def test_a_seed_that_is_the_echo_of_a_slow_reply_is_none(
    seed: str, playing: str, is_echo: bool
) -> None:
    state, orders = step(replace(CAPTURING, playing_words=playing), Seed(seed, 2.0))
    assert (state.phase is Phase.LISTENING) == is_echo
    assert (orders == (CancelCapture(), PlayCue("nothing"))) == is_echo


def test_an_earlier_reply_causes_no_echo() -> None:
    first = [TRIGGER, Seed("a", 2.0), Sentence(1, "Hey computer."), Ended(1)]
    state, orders = walk([*first, TRIGGER, Seed("b", 9.0), Sentence(2, "Well."), TRIGGER])
    assert (state.phase, without_cues(orders)[-1]) == (Phase.CAPTURING, CancelReply())


def test_the_late_end_of_a_cancelled_reply_does_not_end_the_next() -> None:
    state, _ = walk([TRIGGER, Seed("a", 2.0), Sentence(1, "One."), TRIGGER, Seed("b", 5.0)])
    state, orders = walk([Sentence(1, "Two."), Ended(1)], state)
    assert (state.phase, state.turn, orders) == (Phase.THINKING, 2, [])


@pytest.mark.parametrize(
    ("phrase", "text", "dropped"),
    [
        ("你好电脑", "它说你好电脑，然后走了。", True),
        ("你好电脑", "它说你好，电脑。", True),
        ("你好电脑", "它说电脑你好。", False),
        ("Hey, Computer!", "He said: hey computer.", True),
    ],
)
def test_phrases_are_compared_by_their_words(phrase: str, text: str, dropped: bool) -> None:
    trigger = Triggered(phrase, 1.0)
    _, orders = walk([trigger, Seed("a fox", 2.0), Sentence(1, text), trigger])
    assert without_cues(orders)[-1] == (CancelCapture() if dropped else CancelReply())


def test_a_trigger_louder_than_the_echo_is_the_users() -> None:
    saying = [TRIGGER, Seed("a fox", 2.0), Sentence(1, "He said: hey computer.")]
    for louder, order in ((False, CancelCapture()), (True, CancelReply())):
        _, orders = walk([*saying, Triggered("hey computer", 4.0, is_louder=louder)])
        assert order in orders[-2:]
        assert (CancelReply() in orders) is louder
