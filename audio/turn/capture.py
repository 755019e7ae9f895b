"""Capture: recognises one seed, from the end of a trigger phrase to the end of the turn."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from statistics import median

from audio.events import NoSpeech, Partial, Paused, Seed
from audio.pcm import SAMPLE_RATE, SILENCE_DB, level_db
from audio.stt.vosk_engine import Recognizer, VoskEngine, Word
from audio.turn.echo_level import EchoLevel
from audio.turn.endpointing import (
    NO_WORDS_SECONDS,
    PAUSE_SECONDS,
    STABLE_WORDS_SECONDS,
    endpoint_delay,
)
from audio.vad import VoiceDetector
from config.languages import Language
from config.settings import SeedSettings

# Words that the recogniser makes of breath, laughs and noise. Hesitations are dropped at either end
# of a seed; the noise words are no seed by themselves.
_HESITATIONS = frozenset(
    ["huh", "hmm", "hm", "uh", "um", "mm", "mhm", "er", "ah", "eh", "嗯", "啊", "呃", "哦", "唔"]
)
_LAUGHS = frozenset(["ha", "hah", "haha", "heh", "hee", "哈", "哈哈", "呵", "呵呵", "嘿嘿"])
_NOISE_WORDS = _HESITATIONS | _LAUGHS | {"a", "the", "的", "了"}

_MIN_CONFIDENCE = 0.6  # of one word of a seed; words made of laughs and barks have less
_MIN_VOICE_SECONDS = 0.15  # in a seed; a slammed door or music has less
RESUMED_VOICE_SECONDS = 0.16  # after a seed, from which on the user resumes; a breath has less


class Capture:
    """An open-vocabulary recogniser with endpointing. Times are seconds since it was made.

    It may resume after its end: then its words go on, and it ends again.
    """

    def __init__(
        self,
        engine: VoskEngine,
        voice: VoiceDetector,
        settings: SeedSettings,
        language: Language,
        echo: EchoLevel,
    ) -> None:
        self._settings = settings
        self._language = language
        self._engine = engine
        self._voice = voice
        self._voice.reset()
        self._echo = echo
        self._levels: list[float] = []  # of blocks that end with a voice
        self._words: list[Word] = []  # of the engine's ended utterances
        self._partial = ""
        self._paused = ""  # the text at the last pause that was reported
        self._changed = 0.0  # when the words last changed
        self._quiet = 0.0  # seconds without a voice
        self._longest_pause = 0.0  # between words
        self._resumed = 0.0  # when it last resumed
        self.seconds = 0.0

    @cached_property
    def _recognizer(self) -> Recognizer:
        """Made with the first sound, for it takes 0.08 s, for which a cue would wait."""
        return self._engine.open_vocabulary()

    def accept(self, pcm: bytes) -> list[Partial | Paused | Seed | NoSpeech]:
        """Hear 16-bit samples; Seed or NoSpeech is the last event."""
        self.seconds += len(pcm) / 2 / SAMPLE_RATE
        before = self._text()
        self._measure_pauses(pcm, begun=bool(before))
        ended = self._recognizer.accept(pcm)
        if ended is not None and self._is_voiced():
            self._words += ended
        self._partial = self._recognizer.partial()
        text = self._text()
        events: list[Partial | Paused | Seed | NoSpeech] = []
        if text != before:
            self._changed = self.seconds
            events.append(Partial(text))
        if self._is_at_end():
            events.append(self.finish())
        elif self._quiet >= PAUSE_SECONDS and text != self._paused and self._is_begun():
            self._paused = text
            events.append(Paused(text))
        return events

    @property
    def may_resume(self) -> bool:
        """True if it has ended in silence, before `max_seconds`."""
        return self._quiet >= PAUSE_SECONDS and self.seconds < self._settings.max_seconds

    def resume(self, pcm: bytes) -> None:
        """Go on after the end with the sound since, which the voice detector has heard."""
        seconds = len(pcm) / 2 / SAMPLE_RATE
        self.seconds += seconds
        self._words += self._recognizer.accept(pcm) or []
        self._longest_pause = max(
            self._longest_pause, self._quiet + seconds - RESUMED_VOICE_SECONDS
        )
        self._quiet, self._changed, self._resumed = 0.0, self.seconds, self.seconds

    def finish(self, empty: str = "silence") -> Seed | NoSpeech:
        """End now; `empty` is the reason of NoSpeech where there was no word at all."""
        self._words += self._recognizer.finish()
        self._partial = ""
        texts = [word.text for word in self._words]
        if not self._is_spoken() or not self._is_voiced():
            return NoSpeech("noise" if texts else empty)
        return Seed(self._text(), self._words[-1].end)

    def _is_at_end(self) -> bool:
        if self.seconds >= self._settings.max_seconds:
            return True
        if not self._is_begun():
            return self.seconds >= self._settings.timeout_seconds
        words = self._seed_words()
        delay = endpoint_delay(
            words,
            self._longest_pause,
            self._settings.silence_seconds,
            self._language,
            echo_masks_user=self._echo.masks(median(self._levels or [SILENCE_DB])),
        )
        unchanged = self.seconds - self._changed
        if self._quiet >= delay and unchanged >= min(delay, STABLE_WORDS_SECONDS):
            return True
        # Where it is never quiet, the end is a time without new words.
        between = self._is_between_utterances()
        last = max(self._words[-1].end, self._resumed) if between else self._changed
        return self.seconds - last >= delay + NO_WORDS_SECONDS

    def _is_begun(self) -> bool:
        # Nothing is known yet of the words in a partial result.
        return (self._is_spoken() or is_speech(self._partial.split())) and self._is_voiced()

    def _is_spoken(self) -> bool:
        """True if a word of the ended utterances is surely one: laughs and barks become words, too.

        One is enough, for also in a whole sentence said softly most words may be unsure.
        """
        return is_speech([w.text for w in self._words if w.confidence >= _MIN_CONFIDENCE])

    def _is_voiced(self) -> bool:
        """True if there was a voice at all: the recogniser makes words of any noise."""
        return self._voice.voiced_seconds >= _MIN_VOICE_SECONDS

    def _measure_pauses(self, pcm: bytes, *, begun: bool) -> None:
        before = self._quiet
        self._quiet = self._voice.accept(pcm)
        if not self._quiet:
            self._levels.append(level_db(pcm))
        if begun and self._quiet < before:
            self._longest_pause = max(self._longest_pause, before)

    def _is_between_utterances(self) -> bool:
        """True if the engine has ended one, and so knows the time of its last word."""
        return bool(self._words) and not set(self._partial.split()) - _NOISE_WORDS

    def _all_words(self) -> list[str]:
        return [word.text for word in self._words] + self._partial.split()

    def _text(self) -> str:
        return self._language.word_space.join(self._seed_words())

    def _seed_words(self) -> list[str]:
        """All words without hesitations at either end."""
        return without_hesitations(self._all_words())


def without_hesitations(words: Sequence[str]) -> list[str]:
    """The words without hesitations ("um") at either end."""
    kept = [at for at, word in enumerate(words) if word not in _HESITATIONS]
    return list(words[kept[0] : kept[-1] + 1]) if kept else []


def is_speech(words: Iterable[str]) -> bool:
    """True if there is a word that the recogniser does not also make of breath and noise."""
    return bool(set(words) - _NOISE_WORDS)
