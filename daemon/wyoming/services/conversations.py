"""The conversations of peers: what "go on" and "again" mean in each.

The state machine of the microphone decides (daemon/conversation/state_machine.py): a text is to it
what the words behind the trigger phrase are.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from audio.events import Seed, Triggered, VoiceCommand
from daemon.conversation.state_machine import Ended, Sentence, StartReply, State, step

CONVERSATIONS = 100  # remembered at a time; one takes a few kilobytes
AGE_SECONDS = 3600.0  # since the last text of a conversation, after which it is forgotten
_ID_CHARACTERS = 200  # of a conversation's name; Home Assistant's have 26


@dataclass
class Conversation:
    """One conversation; for the thread of the event loop.

    Attributes:
        state: the state of the state machine.
        language: of the text that goes on, as its code.
        last_active: the time of the last text, in seconds.
        cancelled: set when the newest reply is no longer wanted; any thread may look.
    """

    state: State = field(default_factory=State)
    language: str = ""
    last_active: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def begin(self, text: Seed | VoiceCommand) -> StartReply | None:
        """Advance by a text; the reply that it begins, or None. A reply under way is cancelled."""
        self.cancelled.set()
        self.cancelled = threading.Event()
        self.state, _ = step(self.state, Triggered("", 0.0, is_louder=True))
        self.state, orders = step(self.state, text)
        return next((order for order in orders if isinstance(order, StartReply)), None)

    def say(self, turn: int, sentence: str) -> None:
        """A sentence of the reply with this number is made."""
        self.state, _ = step(self.state, Sentence(turn, sentence))

    def end(self, turn: int) -> None:
        """The reply with this number is over."""
        self.state, _ = step(self.state, Ended(turn))


class Conversations:
    """The conversations that are remembered, by name; bounded in number and age."""

    def __init__(
        self,
        most: int = CONVERSATIONS,
        age_seconds: float = AGE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds."""
        self._most = most
        self._age_seconds = age_seconds
        self._clock = clock
        self._known: OrderedDict[str, Conversation] = OrderedDict()  # the latest is last

    def find(self, name: str) -> Conversation:
        """The conversation of this name; a new one where it is unknown or forgotten."""
        now = self._clock()
        while self._known:
            oldest = next(iter(self._known.values()))
            if now - oldest.last_active <= self._age_seconds:
                break
            self._known.popitem(last=False)
        conversation = self._known.setdefault(name, Conversation())
        conversation.last_active = now
        self._known.move_to_end(name)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return conversation


def conversation_id(context: dict[str, object] | None) -> str:
    """The name that a client gives its conversation, as Home Assistant does; empty for none."""
    name = (context or {}).get("conversation_id")
    return name if isinstance(name, str) and len(name) <= _ID_CHARACTERS else ""
