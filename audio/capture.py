"""Capture one seed: from the end of a trigger phrase to the end of the words after it."""

from audio.endpoint import VoiceDetector
from audio.events import Nothing, Partial, Paused, Seed
from audio.vosk_engine import RATE, VoskEngine, Word
from config.settings import SeedSettings

# What the recogniser makes of breath and noise. Hesitations are dropped at either end of a seed;
# the others are no seed by themselves.
_HESITATIONS = frozenset(
    ["huh", "hmm", "hm", "uh", "um", "mm", "mhm", "er", "ah", "eh", "嗯", "啊", "呃", "哦", "唔"]
)
_NOISE = _HESITATIONS | {"a", "the", "的", "了"}

_VOICE_VETO = 0.3  # seconds without voice that must go with silence of words
_PAUSE = 0.15  # seconds without voice after which the words so far may be all
_PATIENCE = 0.6  # seconds longer that words alone must be missing, for where it is never quiet


class Capture:
    """An open-vocabulary recogniser with a beginning and an end. Times count from its making."""

    def __init__(self, engine: VoskEngine, settings: SeedSettings, joiner: str) -> None:
        self._settings = settings
        self._joiner = joiner
        self._recognizer = engine.open_vocabulary()
        self._voice = VoiceDetector()
        self._words: list[Word] = []  # of ended utterances
        self._partial = ""
        self._paused = ""  # the text at the last pause that was reported
        self._changed = 0.0  # when the words last changed
        self._quiet = 0.0
        self.seconds = 0.0

    def accept(self, pcm: bytes) -> list[Partial | Paused | Seed | Nothing]:
        """Hear 16-bit samples; a Seed or Nothing is the last event there is."""
        self.seconds += len(pcm) / 2 / RATE
        self._quiet = self._voice.accept(pcm)
        before = self._text()
        ended = self._recognizer.accept(pcm)
        if ended is not None:
            self._words += ended
        self._partial = self._recognizer.partial()
        text = self._text()
        events: list[Partial | Paused | Seed | Nothing] = []
        if text != before:
            self._changed = self.seconds
            events.append(Partial(text))
        if self._is_over():
            events.append(self.finish())
        elif self._quiet >= _PAUSE and text != self._paused and _is_speech(self._heard()):
            self._paused = text
            events.append(Paused(text))
        return events

    def finish(self, empty: str = "silence") -> Seed | Nothing:
        """End now; `empty` is the reason to give where there was no word at all."""
        self._words += self._recognizer.finish()
        self._partial = ""
        texts = [word.text for word in self._words]
        if not _is_speech(texts):
            return Nothing("noise" if texts else empty)
        return Seed(self._text(), self._words[-1].end)

    def _is_over(self) -> bool:
        if self.seconds >= self._settings.max_seconds:
            return True
        if not _is_speech(self._heard()):
            return self.seconds >= self._settings.timeout_seconds
        needed = self._settings.silence_seconds
        if self._is_between_utterances():
            silence, quiet = self.seconds - self._words[-1].end, min(needed, _VOICE_VETO)
        else:  # words come late: the unchanged text proves little while there is a voice
            silence, quiet = self.seconds - self._changed, needed
        return silence >= needed + _PATIENCE or (silence >= needed and self._quiet >= quiet)

    def _is_between_utterances(self) -> bool:
        """Whether the engine has ended one, and thus knows when its last word did.

        What sounds like a hesitation counts as a new one only while there is a voice.
        """
        begun = set(self._partial.split())
        if begun and self._quiet < _VOICE_VETO:
            return False
        return bool(self._words) and not begun - _NOISE

    def _heard(self) -> list[str]:
        return [word.text for word in self._words] + self._partial.split()

    def _text(self) -> str:
        words = self._heard()
        while words and words[0] in _HESITATIONS:
            words = words[1:]
        while words and words[-1] in _HESITATIONS:
            words = words[:-1]
        return self._joiner.join(words)


def _is_speech(words: list[str]) -> bool:
    return bool(set(words) - _NOISE)
