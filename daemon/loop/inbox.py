"""Messages from other threads to the main loop."""

import contextlib
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from config.errors import ControlError, NotRunningError
from daemon.control.protocol import Request
from daemon.control.subscriber import Subscriber
from daemon.conversation.state_machine import ReplyEvent
from daemon.loop.pending_reloads import ReloadRequest
from daemon.ports import ComponentUpdate, UpdateRejected

ANSWER_SECONDS = 3.0  # a request is answered within a chunk, unless the loop is stuck
PROMPT_SECONDS = 0.15  # a reload that takes longer is answered before its end, unless `wait` is set
RELOAD_SECONDS = 60.0  # a reload may load models first, in another thread


@dataclass(frozen=True)
class PendingRequest:
    """A control request; the thread that asked waits for the answer."""

    request: Request
    subscriber: Subscriber | None
    answer: Future[Mapping[str, object] | ReloadRequest] = field(default_factory=Future)


Message = ReplyEvent | PendingRequest | ComponentUpdate | UpdateRejected


class Inbox:
    """A queue of messages, in the order in which they came."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closed = False

    def put(self, message: Message) -> None:
        """Leave a message; for any thread."""
        self._messages.put(message)
        if self._closed:
            self._refuse_all()

    def ask(self, request: Request, subscriber: Subscriber | None = None) -> Mapping[str, object]:
        """Let the loop answer a request, and wait for the answer; for any thread but the loop's.

        Raises:
            AfterwordError: the message and exit code for the command line.
        """
        pending = PendingRequest(request, subscriber)
        self.put(pending)
        try:
            answer = pending.answer.result(ANSWER_SECONDS)
            if isinstance(answer, ReloadRequest):
                return _outcome(answer, wait="wait" in request.arguments)
        except TimeoutError as error:
            raise ControlError("The daemon is too busy to answer; try again.") from error
        return answer

    def drain(self, timeout_seconds: float = 0.0) -> Iterator[Message]:
        """All waiting messages, after waiting at most `timeout_seconds` for the first one."""
        with contextlib.suppress(queue.Empty):
            yield self._messages.get(timeout_seconds > 0, timeout_seconds)
            while True:
                yield self._messages.get_nowait()

    def close(self) -> None:
        """Refuse all waiting and all later messages, so that no thread waits for an answer."""
        self._closed = True
        self._refuse_all()

    def _refuse_all(self) -> None:
        for message in self.drain():
            match message:
                case PendingRequest(answer=answer):
                    answer.set_exception(NotRunningError("Afterword is just ending."))
                case ComponentUpdate(done=done):
                    done.set_exception(NotRunningError("Afterword is just ending."))


def _outcome(reload: ReloadRequest, *, wait: bool) -> Mapping[str, object]:
    """The result of a reload; or, where it takes longer and `wait` is not set, what it will change.

    Raises:
        RefusedError: the new settings or weights were rejected.
    """
    if wait:
        return reload.done.result(RELOAD_SECONDS)
    try:
        return reload.done.result(PROMPT_SECONDS)
    except TimeoutError:
        return {**reload.read.result(RELOAD_SECONDS), "loading": True}
