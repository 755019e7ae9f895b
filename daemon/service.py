"""The daemon's loop: source → hearing → session → orders.

The main thread owns all state, so there are no locks; what other threads have to say goes through
the inbox.
"""

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

from audio.chunk import AudioChunk
from audio.events import Event as HearingEvent
from audio.events import Partial
from audio.silence import Silence
from config.errors import AudioDeviceError, ConfigError, ControlError, NotRunningError, RefusedError
from daemon.chronicle import MUTED, OPEN, SILENT, Chronicle
from daemon.console import Console
from daemon.control import Follower
from daemon.manners import Manners
from daemon.notify import Notifier
from daemon.ports import AudioSource, Change, Generator, Hearing, Keeper, Refusal, Speaker
from daemon.protocol import SEED_CHARACTERS, Request
from daemon.replier import Replier
from daemon.session import (
    CancelReply,
    DropCapture,
    Ended,
    HoldReply,
    Hushed,
    Muted,
    Order,
    Phase,
    PlayCue,
    PrepareReply,
    ReplyEvent,
    Sentence,
    StartReply,
    State,
    Typed,
    UserEvent,
    step,
)

log = logging.getLogger(__name__)

TURN_SECONDS = 0.05  # how often a loop without sound looks whether there is something to do
ANSWER_SECONDS = 3.0  # a request is answered within a chunk, unless the loop is stuck
RELOAD_SECONDS = 60.0  # a reload may load models first, beside the loop
HOLD_SECONDS = 1.2  # a reply is silent for so long where a trigger may be on its way
RECENT_CHUNKS = 20  # 1.6 s; what a new hearing hears again, lest a phrase half said be lost
RETRY_SECONDS = (0.25, 0.5, 1.0, 1.5)  # between attempts to open a microphone that is not there


@dataclass(frozen=True)
class Summary:
    """What happened while the service ran."""

    triggers: int
    replies: int
    interrupted: bool = False


@dataclass(frozen=True)
class Household:
    """What surrounds a service that runs for months; the defaults suit a recording.

    Attributes:
        patient: wait for a microphone that is not there at the start, instead of giving up.
        muted: begin with the microphone closed.
        remember_muted: keeps that over restarts; raises OutputError.
        opened: called with the trigger phrases when the microphone is first heard, and whenever it
            was muted before.
        about: what `status` tells of settings and models.
        notifier: tells systemd.
        reload: lets settings and weights be looked at again; its result are the changed settings.
        restarts: how many times we have come back after a crash.
        keepers: keep something of what happens.
        manners: how the conversation is steered by words.
    """

    patient: bool = False
    muted: bool = False
    remember_muted: Callable[[bool], None] = lambda _: None
    opened: Callable[[Iterable[str]], None] = lambda _: None
    about: Mapping[str, object] = field(default_factory=dict)
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    reload: Callable[[], Future[Mapping[str, object]]] | None = None
    restarts: int = 0
    keepers: Sequence[Keeper] = ()
    manners: Manners = field(default_factory=Manners)


@dataclass(frozen=True)
class _Asked:
    request: Request
    follower: Follower | None
    answer: Future[Mapping[str, object]] = field(default_factory=Future)


class Service:
    """Serves one source of sound until it ends or `stop` is called."""

    def __init__(
        self,
        source: AudioSource,
        hearing: Hearing,
        generator: Generator,
        speaker: Speaker,
        console: Console | None = None,
        household: Household | None = None,
    ) -> None:
        """`console`, where given, is shown the exchange; without it no word leaves the process."""
        self._source = source
        self._hearing = hearing
        self._household = household or Household()
        self._chronicle = Chronicle(console, self._household.keepers)
        self._inbox: queue.Queue[ReplyEvent | _Asked | Change | Refusal] = queue.Queue()
        self._changes: deque[Change] = deque()  # that wait for the end of a capture
        self._reloads: list[Future[Mapping[str, object]]] = []  # under way
        self._reload_wanted = False
        self._refused = ""  # why the newest settings or weights are not in force
        self._about = self._household.about
        self._recent: deque[AudioChunk] = deque(maxlen=RECENT_CHUNKS)
        self._replier = Replier(generator, speaker, self._inbox.put)
        self._state = State()
        self._manners = self._household.manners
        self._heard = (0.0, 0.0)  # audio time at the end of the newest chunk, and when it came
        self._follow_up_until = 0.0  # audio time
        self._muted = self._household.muted
        self._patient = self._household.patient or self._muted
        self._microphone = ""  # as last told: open, silent, muted, or why it is missing
        self._attempts = 0  # to open it since it last gave sound
        self._was_open = False
        self._returns = 0  # of the microphone
        self._drops = 0  # of microphones we had before
        self._began = time.monotonic()
        self._heard_out = False  # the source has come to its end
        self._ended = False
        self._speaks_on = False
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` within a chunk; safe in a signal handler."""
        self._stopping.set()
        self._source.stop()

    def reload(self) -> None:
        """Look at settings and weights again; safe in a signal handler."""
        self._reload_wanted = True

    def change(self, change: Change | Refusal) -> None:
        """Go on with new parts as soon as no turn is disturbed; for any thread but the loop's."""
        self._inbox.put(change)
        if self._ended:
            self._refuse_the_rest()

    def ask(self, request: Request, follower: Follower | None = None) -> Mapping[str, object]:
        """Let the loop answer a request; for any thread but the loop's.

        Raises:
            AfterwordError: what the command line shall say and how it shall exit.
        """
        asked = _Asked(request, follower)
        self._inbox.put(asked)
        try:
            reloads = request.command == "reload"
            return asked.answer.result(RELOAD_SECONDS if reloads else ANSWER_SECONDS)
        except TimeoutError as error:
            raise ControlError("The daemon is too busy to answer; try again.") from error

    def run(self) -> Summary:
        """Serve until `stop` is called or the sound ends.

        Audio is the only clock: every chunk turns this loop once. A file waits while we reply, as a
        polite speaker would; a microphone does not, so the trigger can interrupt.

        Raises:
            AudioDeviceError: the microphone is missing, and we are not patient.
            InputError: the file holds no sound.
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        try:
            while not (self._stopping.is_set() or self._heard_out):
                if self._muted:
                    self._idle(MUTED, float("inf"))
                elif problem := self._listen():
                    self._idle(problem, RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)])
        finally:
            self._household.notifier.stopping()
            self._replier.close()  # speech must not outlive us
            self._ended = True
            self._refuse_the_rest()
            self._chronicle.end()
        interrupted = self._stopping.is_set()
        return Summary(self._chronicle.triggers, self._chronicle.replies, interrupted)

    def _listen(self) -> str | None:
        """Hear the source until it ends, is muted or another takes its place.

        Returns:
            why there is no sound, or no more.
        """
        self._attempts += 1
        try:
            with self._source.open() as chunks:
                self._patient = True  # what was there once may come back
                self._hear_all(chunks)
        except (AudioDeviceError, ConfigError) as error:
            if not (self._patient and self._source.live):
                raise
            return str(error)
        return None

    def _hear_all(self, chunks: Iterator[AudioChunk]) -> None:
        source, silence = self._source, Silence()
        try:
            for chunk in chunks:
                if self._stopping.is_set():
                    return
                if chunk.pcm:
                    self._attempts = 0
                    silence.feed(chunk)
                    self._recent.append(chunk)
                    self._heard = chunk.end_seconds, time.monotonic()
                    self._mind_commands()
                    self._hear(self._hearing.feed(chunk))
                    self._chronicle.sounded(chunk)
                given = SILENT if silence.lasts else OPEN
                self._turn(self._microphone if self._attempts else given)
                if self._muted or self._source is not source:
                    return
        except AudioDeviceError:
            if source.live:
                self._hear(self._hearing.finish())  # what was said until it went away
            raise
        if not self._stopping.is_set():
            self._hear(self._hearing.finish())
            self._heard_out = True

    def _idle(self, microphone: str, seconds: float) -> None:
        """Serve without a microphone for a while, or until it or being muted changes."""
        before, end = (self._muted, self._source), time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end:
            self._turn(microphone, TURN_SECONDS)
            if (self._muted, self._source) != before:
                return

    def _turn(self, microphone: str, patience_seconds: float = 0.0) -> None:
        """What each turn of the loop does beside hearing.

        Only from here is the watchdog fed: a loop that is stuck, in whatever, is silent.
        """
        self._collect(patience_seconds)
        self._renew()
        if microphone != self._microphone:
            opened = microphone == OPEN and self._microphone != SILENT
            came_back = opened and self._was_open and self._microphone != MUTED
            self._returns += came_back
            self._chronicle.microphone(self._microphone, microphone)
            self._microphone = microphone
            if opened and not came_back:
                self._was_open = True
                self._household.opened(cast(Iterable[str], self._about.get("phrases", ())))
        if self._state.replying:
            self._chronicle.sounding(self._state.turn, self._replier.sounding)
        self._chronicle.turn()
        notifier = self._household.notifier
        notifier.status(self._in_words())
        if not self._reloads:
            notifier.ready()
        if self._replier.well:
            notifier.alive()

    def _renew(self) -> None:
        """Begin a reload that a signal asked for; take in the parts that are ready."""
        if self._reload_wanted:
            self._reload_wanted = False
            with contextlib.suppress(RefusedError):
                self._begin_reload()
        # What is being said is for the hearing that has heard its beginning.
        while self._changes and self._state.phase is not Phase.CAPTURING:
            self._take(self._changes.popleft())
        self._reloads = [reload for reload in self._reloads if not reload.done()]

    def _begin_reload(self) -> Future[Mapping[str, object]]:
        if self._household.reload is None:
            raise RefusedError("A recording is served with the settings it began with.")
        self._household.notifier.reloading()
        self._reloads.append(self._household.reload())
        return self._reloads[-1]

    def _take(self, change: Change) -> None:
        """Put new parts in their places; a reply under way comes to its end with the old ones."""
        if change.hearing is not None:
            for chunk in self._recent:
                change.hearing.feed(chunk)
            change.hearing.cancel()
            self._hearing = change.hearing
        if change.generator is not None or change.speak_anew is not None:
            self._replier.renew(change.generator, change.speak_anew)
        if change.source is not None:
            self._drops += self._source.drops
            self._source = change.source
        if change.keepers is not None:
            self._chronicle.keep(change.keepers)
        self._manners = change.manners or self._manners
        self._about = change.about
        self._refused = ""
        log.info("%s", change.told)
        self._chronicle.renewed(change.told)
        change.done.set_result(None)

    def _in_words(self) -> str:
        """Our state in a word, or why there is none."""
        if self._state.replying or self._microphone in (OPEN, SILENT):
            return self._state.phase.value
        return MUTED if self._muted else f"waiting for the microphone: {self._microphone}"

    def _mind_commands(self) -> None:
        """Listen to phrases without a trigger while they mean something."""
        waits = self._heard[0] < self._follow_up_until and self._state.phase is Phase.LISTENING
        self._hearing.mind_commands(self._state.replying or waits)

    def _hear(self, events: Sequence[HearingEvent]) -> None:
        # Who speaks on after the trigger needs no cue, and must not be disturbed by one.
        self._speaks_on = any(isinstance(event, Partial) for event in events)
        for event in events:
            self._chronicle.heard(event)
            at = self._when(getattr(event, "at_seconds", None)) or time.monotonic()
            self._state = replace(self._state, sounding=self._replier.heard_about(at))
            if meant := self._manners.interpret(event):
                self._advance(meant)
            if not self._source.live:
                self._await_reply()

    def _await_reply(self) -> None:
        """Let the reply that is under way come to its end."""
        while self._state.replying and not self._stopping.is_set():
            self._collect(TURN_SECONDS)

    def _collect(self, patience_seconds: float = 0.0) -> None:
        """Take in what came from other threads, waiting at most so long for the first of it."""
        try:
            event = self._inbox.get(patience_seconds > 0, patience_seconds)
            while True:
                if isinstance(event, _Asked):
                    self._answer(event)
                elif isinstance(event, Change):
                    self._changes.append(event)
                elif isinstance(event, Refusal):
                    self._refused = event.reason
                    log.error("%s", event.reason)
                    self._chronicle.refused(event.reason)
                else:
                    self._report(event)
                    self._advance(event)
                event = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _advance(self, event: HearingEvent | ReplyEvent | UserEvent) -> None:
        before = self._state.phase
        self._state, orders = step(self._state, event)
        if self._state.phase is not before:
            self._chronicle.moved(before, self._state.phase)
            if self._state.phase is Phase.LISTENING:
                self._replier.discard()
                self._follow_up_until = self._heard[0] + self._manners.follow_up_seconds
        for order in orders:
            self._obey(order)

    def _obey(self, order: Order) -> None:
        match order:
            case PrepareReply(seed=seed):
                if self._source.live:  # a file has no time to gain
                    self._replier.prepare(seed)
            case StartReply(turn=turn, seed=seed, voice_seconds=voice, sentences=sentences):
                self._chronicle.began(turn, seed)
                self._replier.start(turn, seed, self._when(voice), sentences)
            case HoldReply():
                self._replier.hold(HOLD_SECONDS)
            case PlayCue(name=name):
                if not (name == "trigger" and self._speaks_on):
                    self._replier.cue(name)
            case CancelReply():
                self._replier.cancel()
                self._chronicle.cancelled()
            case DropCapture():
                self._hearing.cancel()

    def _when(self, audio_seconds: float | None) -> float | None:
        """The monotonic time at which the microphone gave this moment."""
        if audio_seconds is None or not self._source.live:
            return None
        end, came = self._heard
        return came - (end - audio_seconds)

    def _report(self, event: ReplyEvent) -> None:
        """Note what the replier has done; of earlier, cancelled turns only how fast they were."""
        if event.turn == self._state.turn and self._state.replying:
            self._report_current(event)
        if isinstance(event, Ended):
            self._chronicle.timed(event)

    def _report_current(self, event: ReplyEvent) -> None:
        match event:
            case Sentence():
                self._chronicle.spoken(event)
            case Ended(error=error):
                if error is not None and not self._source.live:
                    raise error
                self._chronicle.ended(event)

    def _answer(self, asked: _Asked) -> None:
        try:
            if asked.request.command == "reload":
                self._begin_reload().add_done_callback(partial(_pass_on, asked.answer))
            else:
                asked.answer.set_result(self._do(asked.request, asked.follower))
        except Exception as error:  # it belongs to whoever asked
            asked.answer.set_exception(error)

    def _do(self, request: Request, follower: Follower | None) -> Mapping[str, object]:
        match request.command:
            case "status":
                return self._status()
            case "mute" | "unmute":
                self._mute(request.command == "mute")
            case "hush":
                self._advance(Hushed())
            case "say":
                return self._say(request.arguments["seed"])
            case "stop":
                self.stop()
            case "follow" | "watch" if follower:
                self._chronicle.follow(follower)
        return {}

    def _status(self) -> dict[str, object]:
        return {
            "state": self._in_words(),
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "microphone": MUTED if self._muted else self._microphone,
            **self._chronicle.counts(),
            "drops": self._drops + self._source.drops,
            "restarts": {
                "daemon": self._household.restarts,
                "speech": self._replier.restarts,
                "microphone": self._returns,
            },
            "speech": self._replier.problem or "ready",
            "refused": self._refused or None,
            **self._about,
            **self._devices(),
        }

    def _devices(self) -> Mapping[str, object]:
        """Where the model computes may have changed since it was loaded."""
        devices = self._about.get("devices")
        if not isinstance(devices, dict):
            return {}
        return {"devices": {**devices, "model": self._replier.device}}

    def _mute(self, muted: bool) -> None:
        """The loop sees it at the end of this turn, and closes or opens the microphone."""
        self._muted = muted
        if muted:
            self._advance(Muted())
        self._household.remember_muted(muted)

    def _say(self, seed: str) -> dict[str, object]:
        if not seed.strip() or len(seed) > SEED_CHARACTERS:
            raise RefusedError(f"A seed has between 1 and {SEED_CHARACTERS} characters.")
        self._advance(Typed(seed.strip()))
        return {"turn": self._state.turn}

    def _refuse_the_rest(self) -> None:
        """Nobody shall wait for an answer that will not come."""
        ending = NotRunningError("Afterword is just ending.")
        while not self._inbox.empty():
            match self._inbox.get_nowait():
                case _Asked(answer=answer):
                    answer.set_exception(ending)
                case Change() as change:
                    self._changes.append(change)
        while self._changes:
            self._changes.popleft().done.set_exception(ending)


def _pass_on(answer: Future[Mapping[str, object]], reload: Future[Mapping[str, object]]) -> None:
    """Answer as the reload has ended."""
    if error := reload.exception():
        answer.set_exception(error)
    else:
        answer.set_result(reload.result())
