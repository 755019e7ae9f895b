"""Messages from other threads to the loop, and the answers that these threads wait for."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from config.errors import ControlError, NotRunningError, RefusedError
from daemon.control.protocol import Request
from daemon.control.subscriber import Subscriber
from daemon.conversation.state_machine import Ended, Sentence
from daemon.loop.inbox import Inbox, Message, PendingRequest
from daemon.loop.pending_reloads import ReloadRequest
from daemon.ports import ComponentUpdate, UpdateRejected

SECONDS = 10.0
STATUS = Request("status", {})
CHANGED: Mapping[str, object] = {"changed": ["voice.name"]}

Ask = Callable[..., list[object]]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def ask(inbox: Inbox) -> Iterator[Ask]:
    """Asks in a thread; the list receives the answer or the error."""
    threads = []

    def start(request: Request = STATUS, subscriber: Subscriber | None = None) -> list[object]:
        outcome: list[object] = []

        def work() -> None:
            try:
                outcome.append(inbox.ask(request, subscriber))
            except Exception as error:
                outcome.append(error)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return outcome

    yield start
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive()


def next_request(inbox: Inbox) -> PendingRequest:
    (pending,) = inbox.drain(SECONDS)
    assert isinstance(pending, PendingRequest)
    return pending


def wait_for(outcome: list[object]) -> object:
    deadline = time.monotonic() + SECONDS
    while not outcome:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return outcome[0]


def test_messages_keep_their_order(inbox: Inbox) -> None:
    messages: list[Message] = [
        Sentence(1, "One."),
        UpdateRejected("no."),
        Sentence(1, "Two."),
        ComponentUpdate({}, "Changed: all."),
        PendingRequest(STATUS, None),
        Ended(1),
    ]
    for message in messages:
        inbox.put(message)
    assert list(inbox.drain()) == messages
    assert list(inbox.drain()) == []


def test_drain_waits_for_the_first_message_only(inbox: Inbox) -> None:
    begin = time.monotonic()
    assert list(inbox.drain(0.1)) == []
    assert 0.09 <= time.monotonic() - begin < 1.0
    begin = time.monotonic()
    assert list(inbox.drain()) == []
    threading.Timer(0.1, inbox.put, [Ended(1)]).start()
    assert list(inbox.drain(SECONDS)) == [Ended(1)]
    assert 0.09 <= time.monotonic() - begin < 1.0


def test_the_loop_answers_another_thread(inbox: Inbox, ask: Ask) -> None:
    subscriber = Subscriber()
    outcome = ask(Request("follow", {}), subscriber)
    pending = next_request(inbox)
    assert (pending.request.command, pending.subscriber) == ("follow", subscriber)
    assert outcome == []
    pending.answer.set_result({"turn": 3})
    assert wait_for(outcome) == {"turn": 3}


@pytest.mark.parametrize("error", [RefusedError("no."), OSError("the disk is full")])
def test_an_error_is_raised_in_the_thread_that_asked(
    error: Exception, inbox: Inbox, ask: Ask
) -> None:
    outcome = ask()
    next_request(inbox).answer.set_exception(error)
    assert wait_for(outcome) is error


def test_a_busy_loop_is_an_error_of_control(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.loop.inbox.ANSWER_SECONDS", 0.05)
    begin = time.monotonic()
    with pytest.raises(ControlError, match="too busy to answer; try again"):
        inbox.ask(STATUS)
    assert time.monotonic() - begin < 2.0


def begin_reload(inbox: Inbox, ask: Ask, **arguments: str) -> tuple[ReloadRequest, list[object]]:
    """A reload that was asked for and has begun, and the list that receives its outcome."""
    outcome = ask(Request("reload", arguments))
    reload = ReloadRequest()
    next_request(inbox).answer.set_result(reload)
    return reload, outcome


@pytest.mark.parametrize("arguments", [{}, {"wait": "yes"}])
def test_a_quick_reload_is_answered_at_its_end(
    arguments: dict[str, str], inbox: Inbox, ask: Ask
) -> None:
    reload, outcome = begin_reload(inbox, ask, **arguments)
    reload.read.set_result(CHANGED)
    reload.done.set_result(CHANGED)
    assert wait_for(outcome) == CHANGED


def test_a_slow_reload_is_answered_while_it_loads(inbox: Inbox, ask: Ask) -> None:
    reload, outcome = begin_reload(inbox, ask)
    time.sleep(0.3)
    assert outcome == []  # the settings file may still be invalid
    reload.read.set_result(CHANGED)
    assert wait_for(outcome) == {**CHANGED, "loading": True}


def test_wait_waits_for_the_end_of_a_slow_reload(inbox: Inbox, ask: Ask) -> None:
    reload, outcome = begin_reload(inbox, ask, wait="yes")
    reload.read.set_result(CHANGED)
    time.sleep(0.3)
    assert outcome == []
    reload.done.set_result(CHANGED)
    assert wait_for(outcome) == CHANGED


@pytest.mark.parametrize(
    ("arguments", "delay_seconds"), [({}, 0.0), ({}, 0.3), ({"wait": "yes"}, 0.3)]
)
def test_a_rejected_reload_is_raised(
    arguments: dict[str, str], delay_seconds: float, inbox: Inbox, ask: Ask
) -> None:
    reload, outcome = begin_reload(inbox, ask, **arguments)
    time.sleep(delay_seconds)
    error = RefusedError("config.yaml, line 3: no.")
    reload.fail(error)
    assert wait_for(outcome) is error


@pytest.mark.parametrize("arguments", [{}, {"wait": "yes"}])
def test_a_reload_that_never_ends_is_an_error_of_control(
    arguments: dict[str, str], inbox: Inbox, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.loop.inbox.RELOAD_SECONDS", 0.05)
    _, outcome = begin_reload(inbox, ask, **arguments)
    error = wait_for(outcome)
    assert isinstance(error, ControlError)
    assert "too busy" in str(error)


def test_close_refuses_waiting_and_later_messages(inbox: Inbox, ask: Ask) -> None:
    waiting = ask()
    pending = next_request(inbox)
    inbox.put(pending)
    update, late = ComponentUpdate({}, "Changed: all."), ComponentUpdate({}, "Changed: all.")
    for message in (update, Sentence(1, "One."), UpdateRejected("no."), Ended(1)):
        inbox.put(message)
    inbox.close()
    errors = [wait_for(waiting), update.done.exception(1)]
    inbox.put(late)
    for error in (*errors, late.done.exception(1)):
        assert isinstance(error, NotRunningError)
        assert str(error) == "Afterword is just ending."
    with pytest.raises(NotRunningError, match="just ending"):
        inbox.ask(STATUS)
    assert list(inbox.drain()) == []
