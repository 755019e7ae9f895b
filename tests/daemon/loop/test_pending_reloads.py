"""Reloads in progress, and the updates that wait to be applied."""

import pytest

from config.errors import NotRunningError, RefusedError
from daemon.control.status import ComponentStatus
from daemon.loop.pending_reloads import PendingReloads, ReloadRequest
from daemon.ports import ComponentUpdate
from tests.daemon.fakes import Reloads

OLD: ComponentStatus = {"voice": "old"}


@pytest.fixture
def begun() -> Reloads:
    return Reloads()


@pytest.fixture
def announced() -> list[str]:
    return []


@pytest.fixture
def pending(begun: Reloads, announced: list[str]) -> PendingReloads:
    return PendingReloads(begun, lambda: announced.append("reloading"), OLD)


@pytest.mark.parametrize("on_cpu", [False, True])
def test_a_reload_is_in_progress_until_it_is_done(
    on_cpu: bool, pending: PendingReloads, begun: Reloads, announced: list[str]
) -> None:
    assert not pending.in_progress
    reload = pending.begin(on_cpu=on_cpu)
    assert (begun.begun, reload.on_cpu, announced) == ([reload], on_cpu, ["reloading"])
    second = pending.begin()
    reload.done.set_result({})
    assert pending.in_progress
    second.fail(RefusedError("no."))
    assert not pending.in_progress


def test_a_signal_begins_one_reload(pending: PendingReloads, begun: Reloads) -> None:
    pending.begin_wanted()
    assert begun.begun == []
    pending.wanted = True
    pending.begin_wanted()
    pending.begin_wanted()
    assert len(begun.begun) == 1


def test_a_recording_refuses_a_reload_and_ignores_a_signal(announced: list[str]) -> None:
    pending = PendingReloads(None, lambda: announced.append("reloading"), OLD)
    with pytest.raises(RefusedError, match="A recording"):
        pending.begin()
    pending.wanted = True
    pending.begin_wanted()
    assert (pending.wanted, pending.in_progress, announced) == (False, False, [])


def test_an_update_is_done_when_the_caller_has_applied_it(pending: PendingReloads) -> None:
    first, second = ComponentUpdate({"voice": "a"}, "a"), ComponentUpdate({"voice": "b"}, "b")
    pending.refused = "no."
    pending.add(first)
    pending.add(second)
    assert (pending.status_info, pending.refused) == (OLD, "no.")
    applied = []
    for update in pending.take_updates():
        applied.append(update.summary)
        assert pending.status_info == update.status_info
        assert (pending.refused, update.done.done()) == ("", False)
        assert (first.done.done(), second.done.done()) == (update is second, False)
    assert (applied, second.done.done()) == (["a", "b"], True)
    assert list(pending.take_updates()) == []


def test_close_fails_waiting_updates(pending: PendingReloads) -> None:
    update = ComponentUpdate({"voice": "new"}, "new")
    pending.add(update)
    pending.close()
    assert isinstance(update.done.exception(1), NotRunningError)
    assert (list(pending.take_updates()), pending.status_info) == ([], OLD)


@pytest.mark.parametrize("was_read", [False, True])
def test_a_failure_reaches_both_futures_of_a_reload(was_read: bool) -> None:
    reload, error = ReloadRequest(), RefusedError("no.")
    if was_read:
        reload.read.set_result({"changed": []})
    reload.fail(error)
    assert reload.done.exception(1) is error
    assert reload.read.exception(1) is (None if was_read else error)
