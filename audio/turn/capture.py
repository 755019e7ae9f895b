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
    VOICE_NO_WORDS_SECONDS,
    endpoint_delay,
)
from audio.turn.user_voice import UserVoice
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
_LATE_WORDS_SECONDS = 0.15  # after the user's voice, in which its last words are recognised
_EXTRA_TIMEOUT_SECONDS = 2.0  # after the timeout, for a user who is just beginning


class Capture:
    """An open-vocabulary recogniser with endpointing. Times are seconds since it was made.

    It may resume after its end: then its words go on, and it ends again.
    """

    def __init__(
        self,
        engine: VoskEngine,
        voice: UserVoice,
        settings: SeedSettings,
        language: Language,
        echo: EchoLevel,
    ) -> None:
        """`voice` has begun, but heard nothing yet."""
        self._settings = settings
        self._language = language
        self._engine = engine
        self._voice = voice
        self._echo = echo
        self._levels: list[float] = []  # of blocks that end with a voice
        self._words: list[Word] = []  # of the engine's ended utterances
        self._partial = ""
        self._is_noise = False  # if there were words that were none
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
        before = self._text()
        self._listen(pcm, begun=bool(before))
        text = self._text()
        events: list[Partial | Paused | Seed | NoSpeech] = []
        if text != before:
            self._changed = self.seconds
            events.append(Partial(text))
        if self._is_at_end() and (end := self._end()):
            events.append(end)
        elif self._quiet >= PAUSE_SECONDS and text != self._paused and self._is_begun():
            self._paused = text
            events.append(Paused(text))
        return events

    def _listen(self, pcm: bytes, *, begun: bool) -> None:
        self.seconds += len(pcm) / 2 / SAMPLE_RATE
        self._measure_pauses(pcm, begun=begun)
        ended = self._recognizer.accept(pcm)
        if ended is not None and self._is_voiced():
            self._words += ended
        # What is recognised while only another voice speaks is not the user's.
        if ended is not None:
            self._partial = ""
        elif self._quiet < _LATE_WORDS_SECONDS or not self._voice.is_other_heard:
            self._partial = self._recognizer.partial()

    @property
    def may_resume(self) -> bool:
        """True if it has ended before `max_seconds`."""
        return self.seconds < self._settings.max_seconds

    @property
    def is_quiet(self) -> bool:
        """True if the user's voice has ended; False where it is never quiet."""
        return self._quiet >= PAUSE_SECONDS

    def resume(self, pcm: bytes) -> None:
        """Go on after the end with the sound since, which the voice detector has heard."""
        seconds = len(pcm) / 2 / SAMPLE_RATE
        self.seconds += seconds
        self._words += self._recognizer.accept(pcm) or []
        self._longest_pause = max(
            self._longest_pause, self._quiet + seconds - RESUMED_VOICE_SECONDS
        )
        self._quiet, self._changed, self._resumed = 0.0, self.seconds, self.seconds

    def hears_words(self, pcm: bytes) -> bool:
        """Hear 16-bit samples after the end; True once there are new words, and it goes on."""
        known = len(self._user_words())
        self._listen(pcm, begun=True)
        new = [word.text for word in self._user_words()[known:]] + self._partial.split()
        if is_speech(new):
            self._changed = self._resumed = self.seconds
        return is_speech(new)

    def finish(self, empty: str = "silence") -> Seed | NoSpeech:
        """End now; `empty` is the reason of NoSpeech where there was no word at all."""
        self._words += self._recognizer.finish()
        self._partial = ""
        words = self._user_words()
        if not self._is_spoken() or not self._is_voiced():
            return NoSpeech("noise" if words or self._is_noise else empty)
        return Seed(self._text(), words[-1].end)

    def _end(self) -> Seed | NoSpeech | None:
        """The seed; None if what was heard is none, as a cough, and the user may still speak."""
        end = self.finish()
        latest = min(self._settings.timeout_seconds, self._settings.max_seconds)
        if isinstance(end, Seed) or self.seconds >= latest:
            return end
        self._is_noise = True
        self._words = []
        return None

    def _is_at_end(self) -> bool:
        if self.seconds >= self._settings.max_seconds:
            return True
        words = self._seed_words()
        delay = endpoint_delay(
            words,
            self._longest_pause,
            self._settings.silence_seconds,
            self._language,
            echo_masks_user=self._echo.masks(median(self._levels or [SILENCE_DB])),
        )
        if not self._is_begun():
            late = 0.0 if self._quiet else _EXTRA_TIMEOUT_SECONDS
            is_noise_over = bool(self._words) and self._quiet >= delay
            return is_noise_over or self.seconds >= self._settings.timeout_seconds + late
        unchanged = self.seconds - self._changed
        if self._quiet >= delay and unchanged >= min(delay, STABLE_WORDS_SECONDS):
            return True
        # Where it is never quiet, the end is a time without new words: a long one if the voice is
        # surely one, for words may come late.
        between = self._is_between_utterances()
        last = max(self._words[-1].end, self._resumed) if between else self._changed
        is_voice = self._voice.is_told_from_noise and not self._quiet
        no_words = VOICE_NO_WORDS_SECONDS if is_voice else NO_WORDS_SECONDS
        return self.seconds - last >= delay + no_words

    def _is_begun(self) -> bool:
        # Nothing is known yet of the words in a partial result.
        return (self._is_spoken() or is_speech(self._partial.split())) and self._is_voiced()

    def _is_spoken(self) -> bool:
        """True if a word of the ended utterances is surely one: laughs and barks become words, too.

        One is enough, for also in a whole sentence said softly most words may be unsure.
        """
        return is_speech([w.text for w in self._user_words() if w.confidence >= _MIN_CONFIDENCE])

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

    def _user_words(self) -> list[Word]:
        """The words of the engine's ended utterances, without those of other voices."""
        return [word for word in self._words if not self._voice.is_other(word.start, word.end)]

    def _all_words(self) -> list[str]:
        return [word.text for word in self._user_words()] + self._partial.split()

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
