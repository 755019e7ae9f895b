"""The recognition pipeline: sound in, events out.

    sound ─→ trigger detector ─→ capture ─→ rescoring ─→ careful ─→ Seed or VoiceCommand
      │                             │                    recogniser, if there is one
      │                             └─ resumption detector: the capture may go on after its end
      └────→ command detector, while commands need no trigger ─→ VoiceCommand

All of them hear the sound after a high-pass filter, for an offset or a hum would cover the speech.
The trigger detector listens always and decides on final results. By then the user may be half
through the seed, so the last seconds of sound are kept, and a fresh open-vocabulary recogniser
hears them again from the phrase's end, catches up, and goes on live.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from audio.commands import (
    NEVER_MIND,
    CommandDetector,
    CommandRescorer,
    SeedCommands,
    SpokenCommand,
)
from audio.events import (
    Event,
    NoSpeech,
    Paused,
    Resumed,
    Seed,
    Triggered,
    TriggerSuspected,
    VoiceCommand,
)
from audio.high_pass import BELOW_SPEECH_HZ, HighPass
from audio.pcm import SAMPLE_RATE, AudioChunk, AudioRingBuffer
from audio.phrases import Phrase, parse_phrases, phrase_weakness
from audio.stt.careful.rehearing import CapturedSound, SeedRehearing, WordRecognizer
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.detector import UTTERANCE_END_SECONDS, Detection, TriggerDetector
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.turn.capture import Capture
from audio.turn.echo_level import EchoLevel
from audio.turn.resumption import NewWordsDetector, Resumption, ResumptionDetector
from audio.turn.user_voice import ROOM_SECONDS, UserVoice
from audio.vad import VoiceDetector
from config.languages import LANGUAGES, Language
from config.settings import SeedSettings, TriggerSettings

log = logging.getLogger(__name__)

Commands = Mapping[str, Sequence[str]]
"""Command phrases by their kind."""

_BUFFER_SECONDS = 30  # an utterance, and with it the verdict on a phrase in it, may last 20
_REPLAY_BYTES = 2 * SAMPLE_RATE // 10  # 0.1 s
_AFTER_WORDS_SECONDS = 0.3  # of sound after the last word that the careful recogniser hears
_GAP_SECONDS = 0.01  # a longer gap in audio time is a closed microphone; shorter ones are rounding


def open_recognition(
    folder: Path,
    trigger: TriggerSettings,
    seed: SeedSettings,
    language: str,
    commands: Commands | None = None,
    careful: WordRecognizer | None = None,
) -> "AudioRecognition":
    """Load the Vosk model in `folder`; takes half a second.

    Args:
        folder: of the Vosk model.
        trigger: the phrases that begin a capture.
        seed: when a capture ends.
        language: its code, such as "en".
        commands: phrases that are commands as a whole seed; all but "never mind" also without a
            trigger, while `feed` is asked for them and no capture is active.
        careful: hears each seed again, if there is one.

    Raises:
        HearingModelError: the model is missing, incomplete or damaged.
        ConfigError: a phrase has a word that the model does not know.
    """
    engine = VoskEngine(folder, UTTERANCE_END_SECONDS)
    return _build(engine, careful, trigger, seed, language, commands or {})


def _build(
    engine: VoskEngine,
    careful: WordRecognizer | None,
    trigger: TriggerSettings,
    seed: SeedSettings,
    language: str,
    commands: Commands,
) -> "AudioRecognition":
    phrases = parse_phrases(trigger.phrases, engine.knows, engine.vocabulary)
    spoken = [
        SpokenCommand(kind, phrase)
        for kind, texts in commands.items()
        for phrase in parse_phrases(texts, engine.knows, engine.vocabulary, f"{kind} phrases")
    ]
    for phrase in phrases:
        _warn_if_weak(phrase)
    detector = TriggerDetector(
        engine,
        phrases,
        VoiceDetector(),
        likelihood=LikelihoodRatio(engine),
        must_begin=trigger.must_begin,
        refractory_seconds=trigger.cooldown_seconds,
    )
    return AudioRecognition(engine, detector, seed, LANGUAGES[language], spoken, careful)


def _warn_if_weak(phrase: Phrase) -> None:
    if weakness := phrase_weakness(phrase):
        log.warning(
            'The trigger phrase "%s" may wake by mistake: %s; '
            '`afterword doctor --phrase "%s"` measures how often.',
            *(phrase.text, weakness, phrase.text),
        )


class AudioRecognition:
    """The daemon's Recognition. For one thread."""

    def __init__(
        self,
        engine: VoskEngine,
        detector: TriggerDetector,
        seed: SeedSettings,
        language: Language,
        commands: Sequence[SpokenCommand] = (),
        careful: WordRecognizer | None = None,
    ) -> None:
        self._engine = engine
        self._careful = careful
        self._rehearing = None if careful is None else SeedRehearing(careful)
        self._detector = detector
        self._settings = seed
        self._language = language
        self._high_pass = HighPass(BELOW_SPEECH_HZ)
        self._sound = AudioRingBuffer(_BUFFER_SECONDS)
        self._offset = 0.0  # seconds from the buffer's time to the source's
        self._voice = UserVoice(VoiceDetector())  # of all captures, for it takes a while to load
        self._capture: Capture | None = None
        self._resumption: Resumption | None = None  # of the capture that has just ended
        self._resumed_after = ""  # the seed after which the user has resumed already
        self._echo = EchoLevel()
        self._playing = False
        self._played_until = 0.0  # in the buffer's time
        self._capture_start = 0.0  # in the buffer's time
        self._captured_pcm = bytearray()  # all sound that the capture has heard
        self._backlog = b""  # sound that the capture is still to hear
        self._without_trigger = [one for one in commands if one.kind != NEVER_MIND]
        self._command_voice = VoiceDetector()
        self._command_detector: CommandDetector | None = None
        self._rescorer = CommandRescorer(engine, [command.phrase for command in commands])
        self._rescored_seeds: dict[str, str] = {}  # short ones of this capture
        self._seed_commands = SeedCommands(commands)

    @property
    def folder(self) -> Path:
        """The folder of the Vosk model."""
        return self._engine.folder

    def with_settings(
        self,
        trigger: TriggerSettings,
        seed: SeedSettings,
        language: str,
        commands: Commands | None = None,
    ) -> "AudioRecognition":
        """A new recognition with these settings on the same loaded model; this one is unchanged.

        Raises:
            ConfigError: a phrase has a word that the model does not know.
        """
        return _build(self._engine, self._careful, trigger, seed, language, commands or {})

    def feed(
        self, chunk: AudioChunk, *, commands: bool = False, playing: bool = False
    ) -> list[Event]:
        """Hear one more chunk.

        Args:
            chunk: at 16 kHz; may be empty, as while a microphone is away. Where its time does not
                follow on, the microphone was closed in between, and what was half heard is dropped.
            commands: whether commands without a trigger are listened for.
            playing: whether the loudspeaker may be in the sound.

        Raises:
            ValueError: the chunk has another rate.
        """
        if chunk.rate != SAMPLE_RATE:
            raise ValueError(f"hearing needs {SAMPLE_RATE} Hz, not {chunk.rate}")
        if chunk.pcm:
            self._skip_gap(chunk)
        self._listen_for_commands(commands)
        self._playing = playing
        if not chunk.pcm:
            return []
        pcm = self._high_pass.filter(chunk.pcm)
        self._sound.add(pcm)
        if playing:
            self._played_until = self._sound.seconds
        self._offset = chunk.end_seconds - self._sound.seconds
        self._echo.observe(pcm, playing=playing)
        suspected, detection = self._detector.process(pcm)
        if detection is not None:
            return self._begin_capture(detection)
        events: list[Event] = [] if suspected is None else [TriggerSuspected(suspected.text)]
        if self._command_detector and (command := self._command_detector.process(pcm)):
            events += self._rescored_events([command])
        return events + self._capture_more(pcm)

    def _skip_gap(self, chunk: AudioChunk) -> None:
        """Begin anew where the microphone was closed before this chunk.

        The words before and after a gap are no one phrase, and the time in it counts for the
        refractory period.
        """
        gap = chunk.begin_seconds - self._offset - self._sound.seconds
        if self._sound.seconds and gap > _GAP_SECONDS:
            self._high_pass.reset()
            self._sound.skip(gap)
            self._detector.skip(gap)
            self._command_detector = None
            self.cancel()

    def _listen_for_commands(self, wanted: bool) -> None:
        if not wanted:
            self._command_detector = None
        elif self._command_detector is None and self._without_trigger:
            self._command_detector = CommandDetector(
                self._engine, self._without_trigger, self._command_voice, self._sound.seconds
            )

    def finish(self) -> list[Event]:
        """The sound has ended: report what a capture holds so far."""
        events: list[Event] = []
        if detection := self._detector.finish():
            events += self._begin_capture(detection)
        events += self._capture_more(b"")
        if self._capture is not None:
            events += self._resolved([self._capture.finish(empty="end of audio")])
            self._capture = None
        self._resumption = None
        if self._rehearing is not None:
            events += map(self._command_or_seed, self._rehearing.finish())
        return events

    def cancel(self) -> None:
        """Drop a capture that has begun, or might resume, and listen for the trigger again."""
        self._capture = self._resumption = None
        self._backlog = b""
        if self._rehearing is not None:
            self._rehearing.drop()

    def _begin_capture(self, detection: Detection) -> list[Event]:
        """Start a capture at the phrase's end; one that was under way is dropped."""
        self._capture_start = detection.end
        self._rescored_seeds = {}
        self._captured_pcm = bytearray()
        if self._rehearing is not None:
            self._rehearing.drop()
        self._resumption, self._resumed_after = None, ""
        phrase = self._sound.since(detection.start, detection.end)
        before = max(detection.start - ROOM_SECONDS, self._played_until)  # an echo is not the room
        self._voice.begin(self._sound.since(before, detection.start), phrase)
        self._capture = Capture(
            self._engine, self._voice, self._settings, self._language, self._echo
        )
        self._backlog = self._sound.since(detection.end)
        is_louder = self._echo.phrase_is_louder(phrase, self._sound.seconds - detection.start)
        if is_louder:
            self._echo.discard_current()
        at = self._offset + detection.end
        triggered = Triggered(detection.phrase.text, at, is_louder)
        # A user who pauses waits for the cue, so the backlog is left for the next chunk.
        return [triggered] if detection.pauses else [triggered, *self._capture_more(b"")]

    def _capture_more(self, pcm: bytes) -> list[Event]:
        """Let the capture hear the backlog and these samples, also while it may resume."""
        events: list[Event] = []
        pcm, self._backlog = self._backlog + pcm, b""
        for at in range(0, len(pcm), _REPLAY_BYTES):
            block = pcm[at : at + _REPLAY_BYTES]
            if self._capture is not None:
                events += self._captured(self._capture, block)
            elif self._resumption is not None:
                events += self._maybe_resumed(self._resumption, block)
        return events if self._rehearing is None else events + self._resolved([])

    def _captured(self, capture: Capture, block: bytes) -> list[Event]:
        self._captured_pcm += block
        events = capture.accept(block)
        last = events[-1] if events else None
        if isinstance(last, Seed | NoSpeech):
            self._capture = None
        if isinstance(last, Seed) and capture.may_resume:
            self._await_resumption(capture, last.text)
        return self._resolved(events)

    def _await_resumption(self, capture: Capture, seed: str) -> None:
        if seed != self._resumed_after:  # without new words it was noise, and would be so again
            self._resumed_after = seed
            if capture.is_quiet:
                self._resumption = ResumptionDetector(capture, self._voice, self._echo)
            else:
                self._resumption = NewWordsDetector(capture, self._echo)

    def _maybe_resumed(self, resumption: Resumption, block: bytes) -> list[Event]:
        if resumption.user_resumed(block, playing=self._playing):
            self._captured_pcm += resumption.sound
            self._capture, self._resumption = resumption.resumed_capture(), None
            self._echo.discard_current()
            return self._resolved([Resumed()])
        if resumption.expired:
            self._resumption = None
        return []

    def _resolved(self, events: Iterable[Event]) -> list[Event]:
        """The events of the capture in the source's time, with their final words and commands."""
        resolved = [*self._rescored_events(events)]
        if self._rehearing is None:
            return resolved
        found = self._rehearing.filter(resolved, self._heard(events), self._sound.seconds)
        return [*map(self._command_or_seed, found)]

    def _heard(self, events: Iterable[Event]) -> CapturedSound:
        """The sound of the capture where an event needs it: of a seed, up to its last word."""
        pcm = b""
        for event in events:
            if isinstance(event, Paused):
                pcm = bytes(self._captured_pcm)
            elif isinstance(event, Seed):
                end = event.end_seconds + _AFTER_WORDS_SECONDS
                pcm = bytes(self._captured_pcm[: 2 * round(end * SAMPLE_RATE)])
        return CapturedSound(pcm, self._voice.voiced_seconds)

    def _command_or_seed(self, event: Event) -> Event:
        if isinstance(event, Seed):  # the careful words may be a command
            return self._seed_commands.event(event.text, event.end_seconds)
        return event

    def _rescored_events(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case Paused(text=text):
                    text = self._rescored(text)
                    if self._seed_commands.find(text) is None:  # no reply is prepared to a command
                        yield Paused(text)
                case Seed(text=text, end_seconds=end):
                    at = self._offset + self._capture_start + end
                    yield self._seed_commands.event(self._rescored(text), at)
                case VoiceCommand(at_seconds=at):
                    yield replace(event, at_seconds=self._offset + at)
                case _:
                    yield event

    def _rescored(self, seed: str) -> str:
        """The seed after rescoring, mostly computed in the pause before, so without a delay."""
        if seed not in self._rescored_seeds:
            sound = self._sound.since(self._capture_start)
            self._rescored_seeds[seed] = self._rescorer.rescored(seed, sound)
        return self._rescored_seeds[seed]
