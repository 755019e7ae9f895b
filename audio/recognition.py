"""Hear a trigger phrase, then the seed after it: sound in, events out.

A grammar recogniser listens always and decides on final results. By then the user may be half
through the seed, so the last seconds of sound are kept, and a fresh open-vocabulary recogniser
hears them again from the phrase's end, catches up, and goes on live.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from audio.commands import WHOLE_SEEDS, CommandDetector, CommandRescorer, SpokenCommand
from audio.events import (
    Command,
    Event,
    NoSpeech,
    Paused,
    Resumed,
    Seed,
    Triggered,
    TriggerSuspected,
)
from audio.pcm import SAMPLE_RATE, AudioChunk, AudioRingBuffer
from audio.phrases import Phrase, parse_phrases, weakness
from audio.stt.vosk_engine import VoskEngine
from audio.trigger.detector import Detection, TriggerDetector
from audio.trigger.likelihood_ratio import LikelihoodRatio
from audio.turn.capture import Capture
from audio.turn.echo_level import EchoLevel
from audio.turn.resumption import ResumptionDetector
from audio.vad import VoiceDetector
from config.settings import SeedSettings, TriggerSettings

log = logging.getLogger(__name__)

Commands = Mapping[str, Sequence[str]]
"""Phrases that need no trigger, by their kind."""

_KEPT_SECONDS = 30  # an utterance that goes on, and with it the verdict on a phrase, may last 20
_UTTERANCE_END = 0.2  # seconds; the model's own 0.5 only makes the trigger later
_REPLAY_BLOCK = SAMPLE_RATE // 10 * 2  # bytes


def open_recognition(
    folder: Path,
    trigger: TriggerSettings,
    seed: SeedSettings,
    language: str,
    commands: Commands | None = None,
) -> "AudioRecognition":
    """Load the Vosk model in `folder` and get ready to listen; takes half a second.

    Args:
        folder: of the Vosk model.
        trigger: the phrases that begin a capture.
        seed: when a capture ends.
        language: "en" or "zh".
        commands: phrases that may be a whole seed, by their kind; on `mind_commands` all but
            "never mind" are listened to without a trigger.

    Raises:
        HearingModelError: the model is missing, incomplete or damaged.
        ConfigError: a trigger phrase has a word the model does not know.
    """
    return _on(VoskEngine(folder, _UTTERANCE_END), trigger, seed, language, commands or {})


def _on(
    engine: VoskEngine,
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
    listener = TriggerDetector(
        engine,
        phrases,
        VoiceDetector(),
        test=LikelihoodRatio(engine),
        must_begin=trigger.must_begin,
    )
    return AudioRecognition(engine, listener, trigger.cooldown_seconds, seed, language, spoken)


def _warn_if_weak(phrase: Phrase) -> None:
    if doubt := weakness(phrase):
        log.warning(
            'The trigger phrase "%s" may wake by mistake: %s; '
            '`afterword doctor --phrase "%s"` measures how often.',
            *(phrase.text, doubt, phrase.text),
        )


class AudioRecognition:
    """Fulfils the daemon's Hearing. For one thread."""

    def __init__(
        self,
        engine: VoskEngine,
        listener: TriggerDetector,
        cooldown_seconds: float,
        seed: SeedSettings,
        language: str,
        commands: Sequence[SpokenCommand] = (),
    ) -> None:
        self._engine = engine
        self._listener = listener
        self._cooldown = cooldown_seconds
        self._settings = seed
        self._joiner = "" if language == "zh" else " "
        self._sound = AudioRingBuffer(_KEPT_SECONDS)
        self._offset = 0.0  # seconds from our count to the source's
        self._voice = VoiceDetector()  # one for all captures, as it takes a while to load
        self._capture: Capture | None = None
        self._afterthought: ResumptionDetector | None = None  # of the capture that has just ended
        self._resumed_after = ""  # the seed after which its speaker has gone on already
        self._own = EchoLevel()
        self._sounding = False
        self._began = 0.0  # when the capture did, by our count
        self._owed = b""  # sound that the capture is still to hear
        self._last_hit = float("-inf")
        self._commands = [one for one in commands if one.kind not in WHOLE_SEEDS]
        self._wishes = CommandRescorer(engine, [command.phrase for command in commands])
        self._meanings: dict[str, str] = {}  # of short seeds in this capture, so far
        self._minding: CommandDetector | None = None
        self._command_voice = VoiceDetector()

    def mind_commands(self, on: bool) -> None:
        """Listen to the phrases that need no trigger, or no longer; not during a capture."""
        if not on:
            self._minding = None
        elif self._minding is None and self._commands:
            self._minding = CommandDetector(
                self._engine, self._commands, self._command_voice, self._sound.seconds
            )

    def mind_own_sound(self, on: bool) -> None:
        """Whether the loudspeaker may be in what is fed from now on."""
        self._sounding = on

    @property
    def folder(self) -> Path:
        """Where its Vosk model lies."""
        return self._engine.folder

    def renewed(
        self,
        trigger: TriggerSettings,
        seed: SeedSettings,
        language: str,
        commands: Commands | None = None,
    ) -> "AudioRecognition":
        """Another one with these settings on the same loaded model; this one goes on as it is.

        Raises:
            ConfigError: a trigger phrase has a word the model does not know.
        """
        return _on(self._engine, trigger, seed, language, commands or {})

    def feed(self, chunk: AudioChunk) -> list[Event]:
        """Hear one more chunk, which must be at 16 kHz."""
        if chunk.rate != SAMPLE_RATE:
            raise ValueError(f"hearing needs {SAMPLE_RATE} Hz, not {chunk.rate}")
        if not chunk.pcm:  # a microphone that is away for the moment
            return []
        self._sound.add(chunk.pcm)
        self._offset = chunk.end_seconds - self._sound.seconds
        self._own.note(chunk.pcm, sounding=self._sounding)
        armed, hit = self._listener.accept(chunk.pcm)
        if hit is not None and self._is_new(hit):
            return self._begin(hit)
        events: list[Event] = [] if armed is None else [TriggerSuspected(armed.text)]
        if self._minding is not None and (said := self._minding.accept(chunk.pcm)):
            events.append(self._placed(said))
        return events + self._go_on(chunk.pcm)

    def finish(self) -> list[Event]:
        """The sound has ended: report what a capture holds so far."""
        events: list[Event] = []
        hit = self._listener.finish()
        if hit is not None and self._is_new(hit):
            events += self._begin(hit)
        events += self._go_on(b"")
        if self._capture is not None:
            events.append(self._placed(self._capture.finish(empty="end of audio")))
            self._capture = None
        self._afterthought = None
        return events

    def cancel(self) -> None:
        """Drop a capture that has begun, or might go on, and listen for the trigger again."""
        self._capture = self._afterthought = None
        self._owed = b""

    def _is_new(self, hit: Detection) -> bool:
        return hit.end - self._last_hit >= self._cooldown

    def _begin(self, hit: Detection) -> list[Event]:
        """Start a capture at the phrase's end; one that was going on is dropped."""
        self._last_hit = self._began = hit.end
        self._meanings = {}
        self._afterthought, self._resumed_after = None, ""
        self._capture = Capture(self._engine, self._voice, self._settings, self._joiner, self._own)
        self._owed = self._sound.since(hit.end)
        said, ago = self._sound.since(hit.start, hit.end), self._sound.seconds - hit.start
        is_louder = self._own.is_below_phrase(said, ago)
        if is_louder:
            self._own.forget()
        triggered = Triggered(hit.phrase.text, self._offset + hit.end, is_louder)
        # Who pauses waits for the cue; what else was said, if anything, can wait.
        return [triggered] if hit.pauses else [triggered, *self._go_on(b"")]

    def _go_on(self, pcm: bytes) -> list[Event]:
        """Let the capture hear this, also after its end, where its speaker may go on."""
        events: list[Event] = []
        pcm, self._owed = self._owed + pcm, b""
        for at in range(0, len(pcm), _REPLAY_BLOCK):
            block = pcm[at : at + _REPLAY_BLOCK]
            if self._capture is not None:
                events += self._captured(self._capture, block)
            elif self._afterthought is not None:
                events += self._heard_after(self._afterthought, block)
        return events

    def _captured(self, capture: Capture, block: bytes) -> list[Event]:
        heard = capture.accept(block)
        last = heard[-1] if heard else None
        if isinstance(last, Seed | NoSpeech):
            self._capture = None
        if isinstance(last, Seed) and capture.may_go_on:
            self._await_more(capture, last.text)
        return [self._placed(event) for event in heard]

    def _await_more(self, capture: Capture, seed: str) -> None:
        if seed != self._resumed_after:  # without new words it was noise, and would be so again
            self._resumed_after = seed
            self._afterthought = ResumptionDetector(capture, self._voice, self._own)

    def _heard_after(self, after: ResumptionDetector, block: bytes) -> list[Event]:
        if after.accept(block, sounding=self._sounding):
            self._capture, self._afterthought = after.capture, None
            after.capture.resume(after.sound)
            self._own.forget()
            return [Resumed()]
        if after.is_over:
            self._afterthought = None
        return []

    def _placed(self, event: Event) -> Event:
        """The event with its time by the source's count, and with the words that were meant."""
        if isinstance(event, Paused):
            return Paused(self._meaning(event.text))
        if isinstance(event, Seed):
            end = self._offset + self._began + event.end_seconds
            return Seed(self._meaning(event.text), end)
        if isinstance(event, Command):
            return replace(event, at_seconds=self._offset + event.at_seconds)
        return event

    def _meaning(self, seed: str) -> str:
        """Most are found in the pause before the end of a seed, so that they delay nothing."""
        if seed not in self._meanings:
            self._meanings[seed] = self._wishes.meaning(seed, self._sound.since(self._began))
        return self._meanings[seed]
