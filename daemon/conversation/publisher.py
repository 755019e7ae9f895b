"""What has happened: logged, shown, told to those who follow, and counted for `status`.

The words themselves go to the terminal, to the followers and, at debug level, to the log.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from audio.events import Event as HearingEvent
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
from daemon.control.server import Subscriber
from daemon.conversation.state_machine import Ended, Phase, Sentence
from daemon.observers.console import Console
from daemon.ports import Observer
from daemon.timings import TurnRecord

log = logging.getLogger(__name__)

OPEN = "open"
SILENT = "open, but it gives digital silence: it is muted in the mixer, or dead"
MUTED = "muted"


class EventPublisher:
    """Takes note of everything, in the loop's thread."""

    def __init__(self, console: Console | None = None, keepers: Sequence[Observer] = ()) -> None:
        """`console`, where given, is shown the exchange."""
        self._console = console
        self._keepers = keepers
        self._followers: list[Subscriber] = []
        self._turn: TurnRecord | None = None
        self._untimed: dict[int, TurnRecord] = {}  # whose end has not been reported yet
        self._sounding = (0, 0)  # turn and number of the sentence last told
        self._told_silence = False
        self.triggers = 0
        self.replies = 0
        self.failures = 0

    def follow(self, follower: Subscriber) -> None:
        """Tell this one everything from now on."""
        self._followers = [old for old in self._followers if not old.gone]
        self._followers.append(follower)

    def counts(self) -> dict[str, object]:
        """The part of a status that we know."""
        turn = self._turn
        last = turn and {**asdict(turn), **asdict(turn.times)}
        if last:
            del last["times"]
        return {
            "triggers": self.triggers,
            "replies": self.replies,
            "failures": self.failures,
            "last_turn": last,
        }

    def heard(self, event: HearingEvent) -> None:
        """Note what the hearing reports."""
        match event:
            case Triggered(phrase=phrase, at_seconds=at):
                self.triggers += 1
                log.info("trigger heard at %.1f s", at)
                self._publish("triggered", phrase=phrase, audio_seconds=round(at, 2))
            case Seed(text=text):
                log.info("seed of %d characters heard", len(text))
                log.debug("seed: %s", text)
            case Resumed():
                log.info("you go on: that reply came too early")
                self._publish("resumed")
            case NoSpeech(reason=reason):
                log.info("nothing heard after the trigger (%s)", reason)
                self._publish("nothing", reason=reason)
            case Partial(text=text):
                log.debug("%s", event)
                self._publish("partial", text=text)
            case VoiceCommand(kind=kind, at_seconds=at):
                log.info('"%s" heard at %.1f s', kind, at)
            case TriggerSuspected() | Paused():
                log.debug("%s", event)

    def sounded(self, chunk: AudioChunk) -> None:
        """Note a chunk, and its level for those who watch it."""
        for keeper in self._keepers:
            keeper.sounded(chunk)
        watchers = [follower for follower in self._followers if follower.levels]
        if watchers:
            from audio.pcm import level_db

            self._tell(watchers, "level", db=round(level_db(chunk.pcm), 1))

    def sounding(self, turn: int, number: int) -> None:
        """Note which sentence of a reply is heard just now; 0 is none.

        The speaker may still count those of the reply before: a sentence must have been told first.
        """
        told = self._turn.sentences if self._turn and self._turn.number == turn else 0
        if 0 < number <= told and (turn, number) != self._sounding:
            self._sounding = (turn, number)
            self._publish("sounding", turn=turn, number=number)

    def moved(self, before: Phase, after: Phase) -> None:
        """Note that the conversation went on."""
        log.debug("%s -> %s", before.value, after.value)
        self._publish("state", state=after.value)

    def began(self, turn: int, seed: str) -> None:
        """Note that a reply begins."""
        self.replies += 1
        self._turn = self._untimed[turn] = TurnRecord(turn)
        self._publish("seed", turn=turn, text=seed)
        if self._console:
            self._console.heard(seed)

    def spoken(self, sentence: Sentence) -> None:
        """Note one more sentence of the reply."""
        log.debug("sentence: %s", sentence.text)
        if self._turn:
            self._set(replace(self._turn, sentences=self._turn.sentences + 1))
        self._publish("sentence", turn=sentence.turn, text=sentence.text)
        if self._console:
            self._console.spoken(sentence.text)

    def ended(self, event: Ended) -> None:
        """Note the end of the reply."""
        self._end("completed" if event.error is None else "failed")
        if event.error is not None:
            self.failures += 1
            log.error("%s", event.error)
        elif self._turn and not self._turn.sentences:
            log.warning("The model had nothing to say to that.")

    def cancelled(self) -> None:
        """Note that the reply was broken off."""
        self._end("cancelled")

    def timed(self, event: Ended) -> None:
        """Note how fast a reply was, after its end; a cancelled one tells late."""
        turn = self._untimed.pop(event.turn, None)
        if turn is None:
            return
        turn = replace(turn, times=event.times)
        if self._turn and self._turn.number == turn.number:
            self._turn = turn
        log.info("turn %d %s", turn.number, turn.in_words())
        self._publish("timed", turn=turn.number, **asdict(turn.times))

    def microphone(self, before: str, now: str) -> None:
        """Note that it was opened, muted or went away: OPEN, SILENT, MUTED or why it is missing."""
        was_missing, missing = (it not in ("", OPEN, SILENT, MUTED) for it in (before, now))
        if missing:  # the reason may change while we wait; that is for the curious
            log.log(logging.DEBUG if was_missing else logging.WARNING, "%s Waiting for it.", now)
        elif was_missing:
            log.warning("The microphone is there.")
        if now == SILENT and not self._told_silence:
            log.warning("The microphone gives digital silence: it is muted in the mixer, or dead.")
        self._told_silence = now == SILENT or (self._told_silence and now == OPEN)
        self._publish("microphone", microphone=now)

    def keep(self, keepers: Sequence[Observer]) -> None:
        """Let these keep what happens from now on, instead of those before."""
        for keeper in self._keepers:
            keeper.close()
        self._keepers = keepers

    def renewed(self, told: str) -> None:
        """Note that we go on with other settings or weights."""
        self._publish("renewed", told=told)

    def refused(self, reason: str) -> None:
        """Note that other settings or weights were not good."""
        self._publish("refused", reason=reason)

    def turn(self) -> None:
        """Note that the loop has turned."""
        for keeper in self._keepers:
            keeper.turn()

    def end(self) -> None:
        """Note that the daemon ends."""
        self.close()
        for keeper in self._keepers:
            keeper.close()

    def close(self) -> None:
        """Close the line of a reply that was under way."""
        if self._console:
            self._console.end()

    def _end(self, outcome: str) -> None:
        if self._turn:
            self._set(replace(self._turn, outcome=outcome))
            self._publish("ended", turn=self._turn.number, outcome=outcome)
        self.close()

    def _set(self, turn: TurnRecord) -> None:
        self._turn = self._untimed[turn.number] = turn

    def _publish(self, name: str, **details: object) -> None:
        if self._followers or self._keepers:
            self._tell([*self._followers, *self._keepers], name, **details)

    def _tell(
        self, followers: Sequence[Subscriber | Observer], name: str, **details: object
    ) -> None:
        event = {"event": name, "time": round(time.time(), 3), **details}
        for follower in followers:
            follower.tell(event)
        self._followers = [follower for follower in self._followers if not follower.gone]
