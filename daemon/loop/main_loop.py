"""The main loop: audio source → recognition → state machine → orders.

The main thread owns all state, so there are no locks; other threads send messages to the inbox.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audio.events import Event as RecognitionEvent
from audio.input.microphone_faults import MicrophoneMonitor
from audio.pcm import AudioChunk, DigitalSilence
from config.errors import AudioDeviceError, ConfigError, DeviceError
from daemon.conversation.audio_clock import AudioClock
from daemon.conversation.conversation import Conversation
from daemon.conversation.publisher import MUTED, OPEN, SILENT, EventPublisher
from daemon.conversation.responder import Responder
from daemon.conversation.state_machine import Ended, Phase, Sentence
from daemon.loop.inbox import Inbox, Message, PendingRequest
from daemon.loop.input_state import InputState
from daemon.loop.options import LoopOptions
from daemon.loop.pending_reloads import PendingReloads
from daemon.loop.request_handler import RequestHandler
from daemon.observers.console import Console
from daemon.observers.isolation import succeeds
from daemon.ports import (
    AudioSource,
    ComponentUpdate,
    Generator,
    Recognition,
    SpeechOutput,
    UpdateRejected,
)

log = logging.getLogger(__name__)

TICK_SECONDS = 0.05  # between two ticks while there is no sound


@dataclass(frozen=True)
class Summary:
    """What happened while the loop ran."""

    triggers: int
    replies: int
    interrupted: bool = False


class MainLoop:
    """Serves one audio source until it ends or `stop` is called.

    Attributes:
        inbox: takes control requests, component updates and the responder's events; any thread.
    """

    def __init__(
        self,
        source: AudioSource,
        recognition: Recognition,
        generator: Generator,
        speech: SpeechOutput,
        console: Console | None = None,
        options: LoopOptions | None = None,
    ) -> None:
        """`console` prints the exchange; without it no word leaves the process."""
        self._options = options = options or LoopOptions()
        self.inbox = Inbox()
        self._input = InputState(source, muted=options.muted, retry=options.wait_for_microphone)
        # The exchange is all that a recording is served for; beside a microphone it is a display.
        self._publisher = EventPublisher(
            console, options.observers, console_required=not source.live
        )
        self._responder = Responder(generator, speech, self.inbox.put)
        self._speech = speech
        self._clock = AudioClock(live=source.live)
        self._conversation = Conversation(
            recognition,
            self._responder,
            speech,
            self._publisher,
            options.follow_up_seconds,
            self._clock,
        )
        self._reloads = PendingReloads(
            options.begin_reload, options.notifier.reloading, options.status_info
        )
        self._requests = RequestHandler(
            self._conversation,
            self._responder,
            speech,
            self._input,
            self._reloads,
            self._publisher,
            options,
            self.stop,
        )
        self._source_ended = False
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` within a chunk; safe in a signal handler."""
        self._stopping.set()
        self._input.source.stop()

    def reload(self) -> None:
        """Ask for a reload of settings and weights; safe in a signal handler."""
        self._reloads.wanted = True

    def run(self) -> Summary:
        """Serve until `stop` is called or the sound ends.

        Audio is the only clock: the loop makes one tick a chunk. A file waits during a reply, as a
        polite user would; a microphone does not, so that the trigger phrase can interrupt.

        Raises:
            AudioDeviceError: the microphone is missing, and the loop does not wait for it.
            InputError: the file holds no sound.
            AfterwordError: a reply to a file failed. A reply to a microphone that fails is logged.
        """
        with contextlib.ExitStack() as stack:  # each is closed, whatever another one raises
            stack.callback(self._publisher.close)
            stack.callback(self._reloads.close)
            stack.callback(self.inbox.close)
            stack.callback(self._responder.close)  # no speech after the loop has ended
            stack.callback(self._options.notifier.stopping)
            while not (self._stopping.is_set() or self._source_ended):
                if self._input.muted:
                    self._idle(MUTED, float("inf"))
                elif problem := self._listen():
                    self._idle(problem, self._input.retry_seconds)
        interrupted = self._stopping.is_set()
        return Summary(self._publisher.triggers, self._publisher.replies, interrupted)

    def _listen(self) -> str | None:
        """Recognise speech in the source until it ends, is muted or is replaced.

        Returns:
            why there is no sound, or no more; None if that was wanted.
        """
        self._input.attempts += 1
        try:
            with self._input.source.open() as chunks:
                self._input.retry = True  # a source that was there once may come back
                self._feed_all(self._clock.stamped(chunks))
        except (AudioDeviceError, ConfigError) as error:
            if not (self._input.retry and self._input.source.live):
                raise
            return str(error)
        return None

    def _feed_all(self, chunks: Iterator[AudioChunk]) -> None:
        source, silence, monitor = self._input.source, DigitalSilence(), MicrophoneMonitor()
        try:
            for chunk in chunks:
                if self._stopping.is_set():
                    return
                if chunk.pcm:
                    self._input.attempts = 0
                    silence.feed(chunk)
                    if source.live:
                        monitor.feed(chunk)
                    self._on_recognised(self._conversation.feed(chunk))
                    self._publisher.on_audio(chunk)
                is_open = SILENT if silence.lasts else OPEN
                self._tick(self._input.state if self._input.attempts else is_open)
                if self._input.muted or self._input.source is not source:
                    return
        except AudioDeviceError:
            if source.live:  # a capture keeps the words before the device was lost
                self._on_recognised(self._conversation.finish())
            raise
        if not self._stopping.is_set():
            self._on_recognised(self._conversation.finish())
            self._source_ended = True

    def _on_recognised(self, events: Sequence[RecognitionEvent]) -> None:
        for event in events:
            self._conversation.on_recognised(event)
            if not self._input.source.live:
                self._wait_for_reply()

    def _wait_for_reply(self) -> None:
        """Wait for the end of the reply in progress."""
        while self._conversation.state.replying and not self._stopping.is_set():
            self._receive_all(TICK_SECONDS)

    def _idle(self, microphone: str, seconds: float) -> None:
        """Tick without a microphone for a while, or until it is replaced, muted or unmuted."""
        end = time.monotonic() + seconds
        before = (self._input.muted, self._input.source)
        while not self._stopping.is_set() and time.monotonic() < end:
            self._tick(microphone, TICK_SECONDS)
            if (self._input.muted, self._input.source) != before:
                return

    def _tick(self, microphone: str, timeout_seconds: float = 0.0) -> None:
        """Everything that the loop does beside recognition.

        The watchdog is fed only from here, so that it sees a loop that is stuck.
        """
        self._receive_all(timeout_seconds)
        self._apply_updates()
        self._set_microphone(microphone)
        if self._conversation.state.replying:
            self._publisher.on_playing(self._conversation.state.turn, self._speech.sounding)
        self._publisher.on_tick()
        notifier = self._options.notifier
        notifier.status(self._requests.state_text())
        if not self._reloads.in_progress:
            notifier.ready()
        if self._responder.healthy:
            notifier.alive()

    def _set_microphone(self, microphone: str) -> None:
        """Note the state of the microphone, and report a change of it."""
        if microphone == self._input.state:
            return
        self._publisher.on_microphone(self._input.state, microphone)
        if self._input.set(microphone):
            phrases = self._reloads.status_info.get("phrases", [])
            succeeds("The greeting", lambda: self._options.on_listening(phrases))

    def _apply_updates(self) -> None:
        """Begin a reload that a signal asked for; take the components that are ready."""
        self._reloads.begin_wanted()
        # The recognition that has heard the beginning of a seed hears its end, too.
        if self._conversation.state.phase is not Phase.CAPTURING:
            for update in self._reloads.take_updates():
                self._apply(update)

    def _apply(self, update: ComponentUpdate) -> None:
        self._conversation.apply(update)
        if update.source is not None:
            self._input.replace(update.source)
        if update.observers is not None:
            self._publisher.set_observers(update.observers)
        log.info("%s", update.summary)
        self._publisher.on_update(update.summary)

    def _receive_all(self, timeout_seconds: float = 0.0) -> None:
        for message in self.inbox.drain(timeout_seconds):
            self._receive(message)

    def _receive(self, message: Message) -> None:
        match message:
            case PendingRequest():
                self._requests.handle(message)
            case ComponentUpdate():
                self._reloads.add(message)
            case UpdateRejected(reason=reason):
                self._reloads.refused = reason
                log.error("%s", reason)
                self._publisher.on_update_rejected(reason)
            case Sentence():
                self._conversation.on_reply(message)
            case Ended(error=error):
                self._conversation.on_reply(message)
                if isinstance(error, DeviceError):
                    self._rebuild_on_cpu()

    def _rebuild_on_cpu(self) -> None:
        """The device of the model has failed: the next replies are computed on the CPU."""
        if self._options.begin_reload is not None:
            log.warning("The model is being loaded on the CPU until model.device changes.")
            self._reloads.begin(on_cpu=True)
