"""What other threads have to say to the loop."""

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
PROMPT_SECONDS = 0.15  # a reload that takes longer is told of later, unless one waits for its end
RELOAD_SECONDS = 60.0  # it may load models first, beside the loop


@dataclass(frozen=True)
class PendingRequest:
    """A request; whoever asked waits for the answer."""

    request: Request
    follower: Subscriber | None
    answer: Future[Mapping[str, object] | ReloadRequest] = field(default_factory=Future)


Message = ReplyEvent | PendingRequest | ComponentUpdate | UpdateRejected


class Inbox:
    """Messages in the order in which they came."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closed = False

    def put(self, message: Message) -> None:
        """Leave a message, from any thread."""
        self._messages.put(message)
        if self._closed:
            self._refuse_the_rest()

    def ask(self, request: Request, follower: Subscriber | None = None) -> Mapping[str, object]:
        """Let the loop answer a request, and wait for it; for any thread but the loop's.

        Raises:
            AfterwordError: what the command line shall say and how it shall exit.
        """
        asked = PendingRequest(request, follower)
        self.put(asked)
        try:
            answer = asked.answer.result(ANSWER_SECONDS)
            if isinstance(answer, ReloadRequest):
                return _outcome(answer, wait="wait" in request.arguments)
        except TimeoutError as error:
            raise ControlError("The daemon is too busy to answer; try again.") from error
        return answer

    def take(self, patience_seconds: float = 0.0) -> Iterator[Message]:
        """All that is there, after waiting at most so long for the first of it."""
        with contextlib.suppress(queue.Empty):
            yield self._messages.get(patience_seconds > 0, patience_seconds)
            while True:
                yield self._messages.get_nowait()

    def close(self) -> None:
        """Refuse what is there and what still comes: nobody shall wait for ever."""
        self._closed = True
        self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        for message in self.take():
            match message:
                case PendingRequest(answer=answer):
                    answer.set_exception(NotRunningError("Afterword is just ending."))
                case ComponentUpdate(done=done):
                    done.set_exception(NotRunningError("Afterword is just ending."))


def _outcome(reload: ReloadRequest, *, wait: bool) -> Mapping[str, object]:
    """What has become of it; or, where that takes longer and nobody waits, what it will change."""
    if wait:
        return reload.done.result(RELOAD_SECONDS)
    try:
        return reload.done.result(PROMPT_SECONDS)
    except TimeoutError:
        return {**reload.read.result(RELOAD_SECONDS), "loading": True}
