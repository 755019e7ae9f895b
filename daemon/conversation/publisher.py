"""Logs, prints and publishes events, and keeps the counters for `status`.

Recognised and generated words go to the console, to the subscribers and observers and, at debug
level, to the log. None of the three can end the main loop: one that fails is closed, once and for
all, and named in the log.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial

from audio.events import Event as RecognitionEvent
from audio.events import (
    NoSpeech,
    Partial,
    Paused,
    Resumed,
    Seed,
    Triggered,
    TriggerSuspected,
    VoiceCommand,
)
from audio.pcm import AudioChunk
from daemon.control.status import Counts, last_turn
from daemon.control.subscriber import Subscriber
from daemon.conversation.state_machine import Ended, Phase, Sentence
from daemon.observers.console import Console
from daemon.observers.isolation import succeeds
from daemon.ports import Observer
from daemon.timings import TurnRecord

log = logging.getLogger(__name__)

OPEN = "open"
SILENT = "open, but it gives digital silence: it is muted in the mixer, or dead"
MUTED = "muted"


class EventPublisher:
    """Receives everything that happens, in the loop's thread."""

    def __init__(
        self,
        console: Console | None = None,
        observers: Sequence[Observer] = (),
        *,
        console_required: bool = False,
    ) -> None:
        """`console` prints the exchange; with `console_required` its errors are raised."""
        self._console = console
        self._console_required = console_required
        self._observers = observers
        self._subscribers: list[Subscriber] = []
        self._turn: TurnRecord | None = None
        self._untimed: dict[int, TurnRecord] = {}  # turns whose timings have not come yet
        self._playing = (0, 0)  # turn and number of the sentence published last
        self._warned_of_silence = False
        self.triggers = 0
        self.replies = 0
        self.failures = 0

    def add_subscriber(self, subscriber: Subscriber) -> None:
        """Publish all events to this subscriber from now on."""
        self._subscribers = [old for old in self._subscribers if not old.disconnected]
        self._subscribers.append(subscriber)

    def counts(self) -> Counts:
        """The counters and the last turn, for `status`."""
        return {
            "triggers": self.triggers,
            "replies": self.replies,
            "failures": self.failures,
            "last_turn": last_turn(self._turn) if self._turn else None,
        }

    def on_recognised(self, event: RecognitionEvent) -> None:
        """An event of the recognition."""
        match event:
            case Triggered(phrase=phrase, at_seconds=at):
                self.triggers += 1
                log.info("trigger heard at %.1f s", at)
                self._publish("triggered", phrase=phrase, audio_seconds=round(at, 2))
            case Seed(text=text):
                log.info("seed of %d characters heard", len(text))
                log.debug("seed: %s", text)
            case Resumed():
                log.info("user resumed speaking; reply cancelled")
                self._publish("resumed")
            case NoSpeech(reason=reason):
                log.info("no speech after the trigger (%s)", reason)
                self._publish("nothing", reason=reason)
            case Partial(text=text):
                log.debug("%s", event)
                self._publish("partial", text=text)
            case VoiceCommand(kind=kind, at_seconds=at):
                log.info('"%s" heard at %.1f s', kind, at)
            case TriggerSuspected() | Paused():
                log.debug("%s", event)

    def on_audio(self, chunk: AudioChunk) -> None:
        """A chunk of the microphone; its level goes to the subscribers that want levels."""
        self._observe(lambda observer: observer.on_audio(chunk))
        wanting = [subscriber for subscriber in self._subscribers if subscriber.wants_levels]
        if wanting:
            from audio.pcm import level_db

            self._push(wanting, "level", db=round(level_db(chunk.pcm), 1))

    def on_playing(self, turn: int, number: int) -> None:
        """The sentence of this number is playing; 0 before the first.

        The speech output may still count those of the turn before: a sentence is published before
        it plays.
        """
        published = self._turn.sentences if self._turn and self._turn.number == turn else 0
        if 0 < number <= published and (turn, number) != self._playing:
            self._playing = (turn, number)
            self._publish("sounding", turn=turn, number=number)

    def on_state(self, before: Phase, after: Phase) -> None:
        """The state machine has changed its phase."""
        log.debug("%s -> %s", before.value, after.value)
        self._publish("state", state=after.value)

    def on_reply_started(self, turn: int, seed: str) -> None:
        """A reply to this seed begins."""
        self.replies += 1
        self._turn = self._untimed[turn] = TurnRecord(turn)
        self._publish("seed", turn=turn, text=seed)
        self._print(lambda console: console.heard(seed))

    def on_sentence(self, sentence: Sentence) -> None:
        """The reply has one more sentence."""
        log.debug("sentence: %s", sentence.text)
        if self._turn:
            self._set(replace(self._turn, sentences=self._turn.sentences + 1))
        self._publish("sentence", turn=sentence.turn, text=sentence.text)
        self._print(lambda console: console.spoken(sentence.text))

    def on_reply_ended(self, event: Ended) -> None:
        """The reply has played to its end, or failed."""
        self._end_turn("completed" if event.error is None else "failed")
        if event.error is not None:
            self.failures += 1
            log.error("%s", event.error)
        elif self._turn and not self._turn.sentences:
            log.warning("The model had nothing to say to that.")

    def on_reply_cancelled(self) -> None:
        """The reply was cancelled."""
        self._end_turn("cancelled")

    def on_timings(self, event: Ended) -> None:
        """The timings of a turn, after its end; those of a cancelled reply come later."""
        turn = self._untimed.pop(event.turn, None)
        if turn is None:
            return
        turn = replace(turn, times=event.times, weights=event.weights)
        if self._turn and self._turn.number == turn.number:
            self._turn = turn
        log.info("turn %d %s", turn.number, turn.summary())
        self._publish("timed", turn=turn.number, weights=turn.weights, **asdict(turn.times))

    def on_microphone(self, before: str, now: str) -> None:
        """The microphone's state has changed: OPEN, SILENT, MUTED, or why it is missing."""
        was_missing, missing = (it not in ("", OPEN, SILENT, MUTED) for it in (before, now))
        if missing:  # a changed reason is logged at debug level only
            log.log(logging.DEBUG if was_missing else logging.WARNING, "%s Waiting for it.", now)
        elif was_missing and now != MUTED:
            log.warning("The microphone is there.")
        if now == SILENT and not self._warned_of_silence:
            log.warning("The microphone gives digital silence: it is muted in the mixer, or dead.")
        self._warned_of_silence = now == SILENT or (self._warned_of_silence and now == OPEN)
        self._publish("microphone", microphone=now)

    def set_observers(self, observers: Sequence[Observer]) -> None:
        """Close the present observers and use these from now on."""
        self._close_observers()
        self._observers = observers

    def on_update(self, summary: str) -> None:
        """Other settings or weights are in force."""
        self._publish("renewed", told=summary)

    def on_update_rejected(self, reason: str) -> None:
        """New settings or weights were rejected."""
        self._publish("refused", reason=reason)

    def on_tick(self) -> None:
        """The loop has made a tick."""
        self._observe(lambda observer: observer.on_tick())

    def close(self) -> None:
        """The daemon ends."""
        try:
            self._end_line()
        finally:
            self._close_observers()

    def _end_line(self) -> None:
        """End the console's line of a reply in progress."""
        self._print(lambda console: console.end())

    def _print(self, act: Callable[[Console], None]) -> None:
        """Let the console print; one that fails is not used again.

        Raises:
            OSError: the console cannot be written, and is required.
        """
        console = self._console
        if console is None:
            return
        if self._console_required:
            act(console)
        elif not succeeds("The display of the exchange", lambda: act(console)):
            self._console = None

    def _observe(self, act: Callable[[Observer], None]) -> None:
        """Call each observer; one that fails is closed and not called again."""
        for observer in self._observers:
            if not succeeds(_name(observer), partial(act, observer)):
                self._observers = [other for other in self._observers if other is not observer]
                with contextlib.suppress(Exception):  # it is in the log already
                    observer.close()

    def _close_observers(self) -> None:
        for observer in self._observers:
            succeeds(_name(observer), observer.close)
        self._observers = ()

    def _end_turn(self, outcome: str) -> None:
        if self._turn:
            self._set(replace(self._turn, outcome=outcome))
            self._publish("ended", turn=self._turn.number, outcome=outcome)
        self._end_line()

    def _set(self, turn: TurnRecord) -> None:
        self._turn = self._untimed[turn.number] = turn

    def _publish(self, name: str, **details: object) -> None:
        if self._subscribers or self._observers:
            event = self._push(self._subscribers, name, **details)
            self._observe(lambda observer: observer.on_event(event))

    def _push(
        self, subscribers: Sequence[Subscriber], name: str, **details: object
    ) -> Mapping[str, object]:
        event = {"event": name, "time": round(time.time(), 3), **details}
        for subscriber in subscribers:
            if not succeeds("A subscriber of the control socket", partial(subscriber.push, event)):
                subscriber.disconnected = True
        self._subscribers = [
            subscriber for subscriber in self._subscribers if not subscriber.disconnected
        ]
        return event


def _name(observer: Observer) -> str:
    return f"The observer {type(observer).__name__}"
