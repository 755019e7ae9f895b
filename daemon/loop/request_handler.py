"""Handles the requests that come through the control socket, in the loop's thread."""

import os
import time
from collections.abc import Callable, Mapping

from config.errors import RefusedError
from daemon.control.protocol import SEED_CHARACTERS, Request
from daemon.control.status import Status
from daemon.control.subscriber import Subscriber
from daemon.conversation.conversation import Conversation
from daemon.conversation.publisher import MUTED, EventPublisher
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import Muted, SeedTyped, StopRequested
from daemon.loop.inbox import PendingRequest
from daemon.loop.input_state import InputState
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import PendingReloads
from daemon.ports import SpeechOutput


class RequestHandler:
    """Answers each request from what the loop owns, and carries it out."""

    def __init__(
        self,
        conversation: Conversation,
        responder: Responder,
        speech: SpeechOutput,
        input_state: InputState,
        reloads: PendingReloads,
        publisher: EventPublisher,
        options: LoopOptions,
        stop: Callable[[], None],
    ) -> None:
        """`stop` ends the loop."""
        self._conversation = conversation
        self._responder = responder
        self._speech = speech
        self._input = input_state
        self._reloads = reloads
        self._publisher = publisher
        self._options = options
        self._stop = stop
        self._started_at = time.monotonic()

    def handle(self, pending: PendingRequest) -> None:
        """Carry out a request and set its answer; an error is raised in the thread that asked."""
        try:
            if pending.request.command == "reload":
                pending.answer.set_result(self._reloads.begin())
            else:
                pending.answer.set_result(self._carry_out(pending.request, pending.subscriber))
        except Exception as error:
            pending.answer.set_exception(error)

    def state_text(self) -> str:
        """The state of the conversation in a word, or why the microphone gives no sound."""
        state = self._conversation.state
        if state.replying or self._input.is_open:
            return state.phase.value
        return MUTED if self._input.muted else f"waiting for the microphone: {self._input.state}"

    def _carry_out(self, request: Request, subscriber: Subscriber | None) -> Mapping[str, object]:
        match request.command:
            case "status":
                return self._status()
            case "mute" | "unmute":
                self._set_muted(request.command == "mute")
            case "hush":
                self._conversation.advance(StopRequested())
            case "say":
                return self._say(request.arguments["seed"])
            case "stop":
                self._stop()
            case "follow" | "watch" if subscriber:
                self._publisher.add_subscriber(subscriber)
        return {}

    def _status(self) -> Status:
        return {
            "state": self.state_text(),
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started_at, 1),
            "microphone": MUTED if self._input.muted else self._input.state,
            **self._publisher.counts(),
            "drops": self._input.drops,
            "restarts": {
                "daemon": self._options.restarts,
                "speech": self._speech.restarts,
                "microphone": self._input.recoveries,
            },
            "voice": self._speech.voice,
            "speech": self._responder.problem or "ready",
            "reloading": self._reloads.in_progress,
            "refused": self._reloads.refused or None,
            **self._reloads.status_info,
        }

    def _set_muted(self, muted: bool) -> None:
        """The loop sees this at the end of the tick, and closes or opens the microphone."""
        self._input.muted = muted
        if muted:
            self._conversation.advance(Muted())
        self._options.save_muted(muted)

    def _say(self, seed: str) -> dict[str, object]:
        if not seed.strip() or len(seed) > SEED_CHARACTERS:
            raise RefusedError(f"A seed has between 1 and {SEED_CHARACTERS} characters.")
        self._conversation.advance(SeedTyped(seed.strip()))
        return {"turn": self._conversation.state.turn}
