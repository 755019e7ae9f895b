"""What other threads have to say to the loop."""

import contextlib
import queue
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from config.errors import ControlError, NotRunningError
from daemon.control import Follower
from daemon.ports import Change, Refusal
from daemon.protocol import Request
from daemon.session import ReplyEvent

ANSWER_SECONDS = 3.0  # a request is answered within a chunk, unless the loop is stuck
RELOAD_SECONDS = 60.0  # a reload may load models first, beside the loop


@dataclass(frozen=True)
class Asked:
    """A request; whoever asked waits for the answer."""

    request: Request
    follower: Follower | None
    answer: Future[Mapping[str, object]] = field(default_factory=Future)


Message = ReplyEvent | Asked | Change | Refusal


class Inbox:
    """Messages in the order in which they came."""

    def __init__(self) -> None:
        self._messages: queue.Queue[Message] = queue.Queue()
        self._closed = False

    def put(self, message: Message) -> None:
        """Leave a message, from any thread."""
        self._messages.put(message)
        if self._closed:
            self._refuse_the_rest()

    def ask(self, request: Request, follower: Follower | None = None) -> Mapping[str, object]:
        """Let the loop answer a request, and wait for it; for any thread but the loop's.

        Raises:
            AfterwordError: what the command line shall say and how it shall exit.
        """
        asked = Asked(request, follower)
        self.put(asked)
        try:
            reloads = request.command == "reload"
            return asked.answer.result(RELOAD_SECONDS if reloads else ANSWER_SECONDS)
        except TimeoutError as error:
            raise ControlError("The daemon is too busy to answer; try again.") from error

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
                case Asked(answer=answer):
                    answer.set_exception(NotRunningError("Afterword is just ending."))
                case Change(done=done):
                    done.set_exception(NotRunningError("Afterword is just ending."))
