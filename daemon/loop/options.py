"""What surrounds a service that runs for months."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.loop.pending_reloads import ReloadRequest
from daemon.ports import Observer
from daemon.systemd.notify import Notifier


@dataclass(frozen=True)
class LoopOptions:
    """The defaults suit a recording.

    Attributes:
        patient: wait for a microphone that is not there at the start, instead of giving up.
        muted: begin with the microphone closed.
        remember_muted: keeps that over restarts; raises OutputError.
        opened: called with the trigger phrases when the microphone is first heard, and whenever it
            was muted before.
        about: what `status` tells of settings and models.
        notifier: tells systemd.
        reload: lets settings and weights be looked at again.
        restarts: how many times we have come back after a crash.
        keepers: keep something of what happens.
        follow_up_seconds: how long after a reply "go on" and "again" need no trigger.
    """

    patient: bool = False
    muted: bool = False
    remember_muted: Callable[[bool], None] = lambda _: None
    opened: Callable[[Iterable[str]], None] = lambda _: None
    about: Mapping[str, object] = field(default_factory=dict)
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    reload: Callable[[], ReloadRequest] | None = None
    restarts: int = 0
    keepers: Sequence[Observer] = ()
    follow_up_seconds: float = 0.0
