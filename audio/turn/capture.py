"""Capture one seed: from the end of a trigger phrase to the end of the words after it."""

from functools import cached_property
from statistics import median

from audio.events import NoSpeech, Partial, Paused, Seed
from audio.pcm import SAMPLE_RATE, SILENCE_DB, level_db
from audio.stt.vosk_engine import Recognizer, VoskEngine, Word
from audio.turn.echo_level import EchoLevel
from audio.turn.endpointing import needed_silence
from audio.vad import VoiceDetector
from config.settings import SeedSettings

# What the recogniser makes of breath and noise. Hesitations are dropped at either end of a seed;
# the others are no seed by themselves.
_HESITATIONS = frozenset(
    ["huh", "hmm", "hm", "uh", "um", "mm", "mhm", "er", "ah", "eh", "嗯", "啊", "呃", "哦", "唔"]
)
_NOISE = _HESITATIONS | {"a", "the", "的", "了"}

_PAUSE = 0.15  # seconds without voice after which the words so far may be all
_LATE = 0.2  # seconds for which the words must not have changed: they come late, so no more
_LEAST_VOICE = 0.15  # seconds of voice that a seed has; a slammed door or music has less
RESUMED_SECONDS = 0.16  # of voice after a seed: its speaker goes on; a click or a breath has less
_PATIENCE = 1.0  # seconds longer that words alone must be missing, for where it is never quiet


class Capture:
    """An open-vocabulary recogniser with a beginning and an end. Times count from its making.

    It may hear on after its end: then the words go on, too, and it ends anew.
    """

    def __init__(
        self,
        engine: VoskEngine,
        voice: VoiceDetector,
        settings: SeedSettings,
        joiner: str,
        own: EchoLevel,
    ) -> None:
        self._settings = settings
        self._joiner = joiner
        self._engine = engine
        self._voice = voice
        self._voice.reset()
        self._own = own
        self._levels: list[float] = []  # of blocks that end with voice
        self._words: list[Word] = []  # of ended utterances
        self._partial = ""
        self._paused = ""  # the text at the last pause that was reported
        self._changed = 0.0  # when the words last changed
        self._quiet = 0.0  # seconds without voice
        self._longest_pause = 0.0  # between words
        self._resumed = 0.0  # when it last went on after its end
        self.seconds = 0.0

    @cached_property
    def _recognizer(self) -> Recognizer:
        """Made when the first sound comes, for it takes 0.08 s, and a cue might wait for it."""
        return self._engine.open_vocabulary()

    def accept(self, pcm: bytes) -> list[Partial | Paused | Seed | NoSpeech]:
        """Hear 16-bit samples; a Seed or Nothing is the last event there is."""
        self.seconds += len(pcm) / 2 / SAMPLE_RATE
        before = self._text()
        self._listen_for_pauses(pcm, begun=bool(before))
        ended = self._recognizer.accept(pcm)
        if ended is not None and self._is_voiced():
            self._words += ended
        self._partial = self._recognizer.partial()
        text = self._text()
        events: list[Partial | Paused | Seed | NoSpeech] = []
        if text != before:
            self._changed = self.seconds
            events.append(Partial(text))
        if self._is_over():
            events.append(self.finish())
        elif self._quiet >= _PAUSE and text != self._paused and self._is_begun():
            self._paused = text
            events.append(Paused(text))
        return events

    @property
    def may_go_on(self) -> bool:
        """Whether it has ended because its speaker was silent, and may become longer."""
        return self._quiet >= _PAUSE and self.seconds < self._settings.max_seconds

    def resume(self, pcm: bytes) -> None:
        """Go on after the end with what was said since; the voice detector has heard it."""
        seconds = len(pcm) / 2 / SAMPLE_RATE
        self.seconds += seconds
        self._words += self._recognizer.accept(pcm) or []
        self._longest_pause = max(self._longest_pause, self._quiet + seconds - RESUMED_SECONDS)
        self._quiet, self._changed, self._resumed = 0.0, self.seconds, self.seconds

    def finish(self, empty: str = "silence") -> Seed | NoSpeech:
        """End now; `empty` is the reason to give where there was no word at all."""
        self._words += self._recognizer.finish()
        self._partial = ""
        texts = [word.text for word in self._words]
        if not _is_speech(texts) or not self._is_voiced():
            return NoSpeech("noise" if texts else empty)
        return Seed(self._text(), self._words[-1].end)

    def _is_over(self) -> bool:
        if self.seconds >= self._settings.max_seconds:
            return True
        if not self._is_begun():
            return self.seconds >= self._settings.timeout_seconds
        words = self._text_words()
        needed = needed_silence(
            words,
            self._longest_pause,
            self._settings.silence_seconds,
            chinese=not self._joiner,
            careful=self._own.would_drown(median(self._levels or [SILENCE_DB])),
        )
        still = self.seconds - self._changed
        if self._quiet >= needed and still >= min(needed, _LATE):
            return True
        # Where it is never quiet, words that stay away must do.
        between = self._is_between_utterances()
        last = max(self._words[-1].end, self._resumed) if between else self._changed
        return self.seconds - last >= needed + _PATIENCE

    def _is_begun(self) -> bool:
        return _is_speech(self._heard()) and self._is_voiced()

    def _is_voiced(self) -> bool:
        """Whether a voice was heard at all: the recogniser makes words of any noise."""
        return self._voice.voiced_seconds >= _LEAST_VOICE

    def _listen_for_pauses(self, pcm: bytes, *, begun: bool) -> None:
        before = self._quiet
        self._quiet = self._voice.accept(pcm)
        if not self._quiet:
            self._levels.append(level_db(pcm))
        if begun and self._quiet < before:
            self._longest_pause = max(self._longest_pause, before)

    def _is_between_utterances(self) -> bool:
        """Whether the engine has ended one, and thus knows when its last word did."""
        return bool(self._words) and not set(self._partial.split()) - _NOISE

    def _heard(self) -> list[str]:
        return [word.text for word in self._words] + self._partial.split()

    def _text(self) -> str:
        return self._joiner.join(self._text_words())

    def _text_words(self) -> list[str]:
        words = self._heard()
        while words and words[0] in _HESITATIONS:
            words = words[1:]
        while words and words[-1] in _HESITATIONS:
            words = words[:-1]
        return words


def _is_speech(words: list[str]) -> bool:
    return bool(set(words) - _NOISE)
