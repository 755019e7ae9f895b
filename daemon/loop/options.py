"""Options of the main loop; the defaults suit a recording."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from daemon.control.status import ComponentStatus
from daemon.loop.pending_reloads import BeginReload
from daemon.ports import Observer
from daemon.systemd.notify import Notifier


@dataclass(frozen=True)
class LoopOptions:
    """Everything beside the components that a main loop can be given.

    Attributes:
        wait_for_microphone: retry while the microphone is missing at the start, instead of failing.
        muted: start with the microphone closed.
        save_muted: stores the muted state over restarts; raises OutputError.
        on_listening: called with the trigger phrases when the microphone first gives sound, and
            whenever it does so after it was muted.
        status_info: what `status` reports of settings and models.
        notifier: the connection to systemd.
        begin_reload: begins a reload; None where there is nothing to reload.
        restarts: how many times the daemon was started again after a crash.
        observers: receive events and audio.
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger phrase.
    """

    wait_for_microphone: bool = False
    muted: bool = False
    save_muted: Callable[[bool], None] = lambda _: None
    on_listening: Callable[[Iterable[str]], None] = lambda _: None
    status_info: ComponentStatus = field(default_factory=ComponentStatus)
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    begin_reload: BeginReload | None = None
    restarts: int = 0
    observers: Sequence[Observer] = ()
    follow_up_seconds: float = 0.0
