"""Transcription: the words of a whole sound that has no trigger phrase, while it comes."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from audio.commands import CommandRescorer
from audio.high_pass import BELOW_SPEECH_HZ, HighPass
from audio.pcm import SAMPLE_RATE
from audio.phrases import parse_phrases
from audio.stt.vosk_engine import VoskEngine
from audio.turn.capture import is_speech, without_hesitations
from config.languages import LANGUAGES, Language

_LEAD_IN = bytes(2 * SAMPLE_RATE // 2)  # 0.5 s of silence, for a recogniser misses a sudden start
_AGREEMENTS = 5  # of partial results in a row
_RESCORED_BYTES = 2 * SAMPLE_RATE * 8  # of a sound that may be a command, with the silence around


class Transcriber:
    """A loaded recogniser for sounds of one language; each sound is a Transcription."""

    def __init__(self, engine: VoskEngine, language: Language, rescorer: CommandRescorer) -> None:
        """`rescorer` recognises short sounds a second time, for they may be commands."""
        self._engine = engine
        self._language = language
        self._rescorer = rescorer

    def begin(self) -> "Transcription":
        """Begin a sound (0.1 s)."""
        return Transcription(self._engine, self._language, self._rescorer)


class Transcription:
    """The words of one sound. For one thread at a time."""

    def __init__(self, engine: VoskEngine, language: Language, rescorer: CommandRescorer) -> None:
        self._language = language
        self._rescorer = rescorer
        self._recognizer = engine.open_vocabulary()
        self._recognizer.accept(_LEAD_IN)
        self._high_pass = HighPass(BELOW_SPEECH_HZ)
        self._pcm = bytearray()  # its beginning, for the second recognition
        self._words: list[str] = []  # of the engine's ended utterances
        self._partials: deque[list[str]] = deque(maxlen=_AGREEMENTS)  # of the current utterance
        self._told: list[str] = []

    def accept(self, pcm: bytes) -> str:
        """Hear 16-bit samples at 16 kHz; the next words that are sure, often none.

        Words that five calls in a row agree on are sure, but for the last one (LocalAgreement,
        Liu et al. 2020); what comes later changes them seldom. The sound of a call should be 0.1 s.
        """
        pcm = self._high_pass.filter(pcm)
        if len(self._pcm) <= _RESCORED_BYTES:
            self._pcm += pcm
        if (ended := self._recognizer.accept(pcm)) is not None:
            self._words += [word.text for word in ended]
            self._partials.clear()
            return self._tell(self._words)
        self._partials.append(self._recognizer.partial().split()[:-1])
        is_sure = len(self._partials) == _AGREEMENTS
        return self._tell([*self._words, *_common(self._partials)]) if is_sure else ""

    def finish(self) -> tuple[str, str]:
        """The sound has ended: the last words, as of `accept`, and the whole text."""
        self._words += [word.text for word in self._recognizer.finish()]
        words = without_hesitations(self._words)
        if not is_speech(words):
            return "", ""
        text = self._language.word_space.join(words)
        if len(self._pcm) <= _RESCORED_BYTES:
            text = self._rescorer.rescored(text, bytes(self._pcm))
        rest = self._tell(words) if words[: len(self._told)] == self._told else ""
        return rest, text

    def _tell(self, words: Sequence[str]) -> str:
        """Those of the words that have not been told, as a continuation of the text so far."""
        sure = without_hesitations(words)
        new = sure[len(self._told) :]
        if not new or not is_speech(sure):
            return ""
        space = self._language.word_space if self._told else ""
        self._told += new
        return space + self._language.word_space.join(new)


def open_transcriber(
    folder: Path, language: str, commands: Mapping[str, Sequence[str]]
) -> Transcriber:
    """Load the Vosk model in `folder` (0.5 s, 120 MB).

    Args:
        folder: of the Vosk model.
        language: its code, such as "en".
        commands: phrases by kind; a short sound is rather one of them than another text.

    Raises:
        HearingModelError: the model is missing, incomplete or damaged.
        ConfigError: a phrase has a word that the model does not know.
    """
    engine = VoskEngine(folder)
    phrases = [
        phrase
        for kind, texts in commands.items()
        for phrase in parse_phrases(texts, engine.knows, engine.vocabulary, f"{kind} phrases")
    ]
    return Transcriber(engine, LANGUAGES[language], CommandRescorer(engine, phrases))


def _common(texts: Iterable[Sequence[str]]) -> list[str]:
    """The words with which all of them begin."""
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*texts, strict=False))
    return [column[0] for column in columns]
