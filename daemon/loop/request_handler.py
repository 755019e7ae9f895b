"""Answers to the requests that come through the control socket."""

import os
import time
from collections.abc import Callable, Mapping

from config.errors import RefusedError
from daemon.control.protocol import SEED_CHARACTERS, Request
from daemon.control.subscriber import Subscriber
from daemon.conversation.conversation import Conversation
from daemon.conversation.publisher import MUTED, EventPublisher
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import Muted, SeedTyped, StopRequested
from daemon.loop.inbox import PendingRequest
from daemon.loop.input_state import InputState
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import PendingReloads


class RequestHandler:
    """Gives them in the loop's thread, from what the loop owns."""

    def __init__(
        self,
        conversation: Conversation,
        replier: Responder,
        intake: InputState,
        reloads: PendingReloads,
        chronicle: EventPublisher,
        household: LoopOptions,
        stop: Callable[[], None],
    ) -> None:
        """`stop` ends the loop."""
        self._conversation = conversation
        self._replier = replier
        self._intake = intake
        self._reloads = reloads
        self._chronicle = chronicle
        self._household = household
        self._stop = stop
        self._began = time.monotonic()

    def answer(self, asked: PendingRequest) -> None:
        """Do what is asked; an error belongs to whoever asked."""
        try:
            if asked.request.command == "reload":
                asked.answer.set_result(self._reloads.begin())
            else:
                asked.answer.set_result(self._do(asked.request, asked.follower))
        except Exception as error:
            asked.answer.set_exception(error)

    def in_words(self) -> str:
        """The state in a word, or why there is none."""
        state = self._conversation.state
        if state.replying or self._intake.is_open:
            return state.phase.value
        return MUTED if self._intake.muted else f"waiting for the microphone: {self._intake.state}"

    def _do(self, request: Request, follower: Subscriber | None) -> Mapping[str, object]:
        match request.command:
            case "status":
                return self._status()
            case "mute" | "unmute":
                self._mute(request.command == "mute")
            case "hush":
                self._conversation.advance(StopRequested())
            case "say":
                return self._say(request.arguments["seed"])
            case "stop":
                self._stop()
            case "follow" | "watch" if follower:
                self._chronicle.follow(follower)
        return {}

    def _status(self) -> dict[str, object]:
        return {
            "state": self.in_words(),
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "microphone": MUTED if self._intake.muted else self._intake.state,
            **self._chronicle.counts(),
            "drops": self._intake.drops,
            "restarts": {
                "daemon": self._household.restarts,
                "speech": self._replier.restarts,
                "microphone": self._intake.returns,
            },
            "speech": self._replier.problem or "ready",
            "reloading": self._reloads.under_way,
            "refused": self._reloads.refused or None,
            **self._reloads.about,
            **self._devices(),
        }

    def _devices(self) -> Mapping[str, object]:
        """Where the model computes may have changed since it was loaded."""
        devices = self._reloads.about.get("devices")
        if not isinstance(devices, dict):
            return {}
        return {"devices": {**devices, "model": self._replier.device}}

    def _mute(self, muted: bool) -> None:
        """The loop sees it at the end of this turn, and closes or opens the microphone."""
        self._intake.muted = muted
        if muted:
            self._conversation.advance(Muted())
        self._household.remember_muted(muted)

    def _say(self, seed: str) -> dict[str, object]:
        if not seed.strip() or len(seed) > SEED_CHARACTERS:
            raise RefusedError(f"A seed has between 1 and {SEED_CHARACTERS} characters.")
        self._conversation.advance(SeedTyped(seed.strip()))
        return {"turn": self._conversation.state.turn}
