"""Kokoro-82M: Mandarin and English voices, from files that `afterword voices fetch zh` brings.

`folder()` holds:
    model.onnx, model.bin   the network, as kokoro_weights.py converts it
    voices/NAME.bin         a voice: float32 (510, 1, 256), the style for each number of phonemes

A name begins with the language (a American, b British English, z Mandarin) and f or m. Each voice
reads both languages, as a Chinese text may hold English words: the phonemes are of one alphabet.
"""

import difflib
import json
import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from audio.tts import chinese, english
from audio.tts.neural import mandarin
from audio.tts.neural.onnx import open_session
from audio.tts.neural.pace import espeak_seconds
from audio.tts.neural.synthesizer import FloatSamples
from audio.tts.text import clean_text, ends_clause, split_text
from audio.tts.voices import Voice
from config import paths
from config.errors import ConfigError, SpeechError
from config.languages import HAN, is_han

if TYPE_CHECKING:
    from audio.tts.neural.hibari_reading import Reading

LICENCE = "Apache-2.0 and MIT"
VERSION = "1.0"  # of the model
DEFAULT_VOICE = "zf_xiaoxiao"
LANGUAGES = MappingProxyType({"z": "zh", "a": "en-us", "b": "en-gb"})
REMEDY = "run `afterword voices fetch zh`"

# By voice the gain, and the factor by which its pieces, cut at its own edges, are too short.
# Measured against espeak-ng over 3 to 4 sentences at 130 (Chinese) and 150 words a minute.
_LEVELS = """
zf_xiaoxiao 1.00 1.03  zf_xiaobei 1.83 1.04  zf_xiaoni 1.33 1.06  zf_xiaoyi 1.55 1.03
zm_yunjian 1.88 1.06  zm_yunxi 1.78 1.12  zm_yunxia 1.92 1.04  zm_yunyang 2.48 1.08
af_heart 1.66 1  af_bella 1.57 1  af_nicole 1.37 1  af_sarah 1.45 1  am_fenrir 1.14 1
am_michael 1.67 1  am_puck 0.98 1  bf_emma 1.32 1  bm_george 1.28 1
"""
LEVELS = MappingProxyType(
    {
        name: (float(gain), float(length))
        for name, gain, length in zip(
            *(_LEVELS.split()[start::3] for start in range(3)), strict=True
        )
    }
)
UNKNOWN_LEVELS = (1.5, 1.0)  # of a voice that the user has added

FRAMES_PER_SECOND = 40
# Frames of speech, at the voice's own pace: of the first token, which is silence and then the
# beginning of the speech, and of the last phoneme, which is its end and then silence.
FIRST_FRAMES, LAST_FRAMES = 3.0, 2.0
STYLES, STYLE_SIZE = 510, 256
MOST_PHONEMES = 400  # at once; the network takes 510
# Characters of a piece, the first of a text and any other: it is heard while the next is made,
# and memory grows with it.
CHINESE_CHARACTERS, ENGLISH_CHARACTERS = (12, 16), (50, 100)
SHORTEST_CLAUSE = 3  # Chinese characters; a shorter one is spoken with the next clause
END_TOKEN = 0  # around a text

_SILENT_MARKS = '“”„‟«»《》〈〉「」『』【】〔〕（）()[]{}"*_#~～·'
MARKS = str.maketrans("，、。．！？；：–―" + _SILENT_MARKS, ",,..!?;:——" + " " * len(_SILENT_MARKS))
_HAN_RUN = re.compile(rf"[{HAN}〇]+")
_CLOSING = r"[\"'”’»)\]」』）】》]*"
_CHINESE_CLAUSE = re.compile(
    rf".+?(?:[。！？；：，…—]+{_CLOSING}|[.!?;:,]+{_CLOSING}(?=\s)|(?<=[{HAN}])(?=\s[{HAN}])|$)"
)
_SENTENCE_END = re.compile(rf"[。！？.!?…]{_CLOSING}$")


def folder() -> Path:
    """The folder of the files, also while they are not there."""
    return paths.data_folder() / "voices" / "kokoro"


def voices() -> list[Voice]:
    """The installed voices; the default voice comes first, those of its language follow."""
    if not _model().is_file():
        return []
    names = sorted(_names(), key=lambda name: (name != DEFAULT_VOICE, name[0] != "z", name))
    return [
        Voice(
            f"kokoro:{name}", name[3:].capitalize(), LANGUAGES[name[0]], "kokoro", LICENCE, VERSION
        )
        for name in names
    ]


def open_voice(name: str) -> "KokoroVoice":
    """Load a voice, such as "zm_yunjian"; an empty name is the default voice.

    Raises:
        ConfigError: there is no such voice here.
        SpeechError: a file is damaged, or a Python package is missing.
    """
    name = name.strip().casefold() or DEFAULT_VOICE
    if not _model().is_file():
        raise ConfigError(
            f"voice.name: Kokoro's voices are not at {folder()}; {REMEDY}, which also brings "
            "its English ones."
        )
    if name not in _names():
        near = difflib.get_close_matches(name, _names()) or [DEFAULT_VOICE]
        raise ConfigError(
            f"voice.name: Kokoro has no voice {name!r} in {folder() / 'voices'}; did you mean "
            f"{' or '.join(repr(f'kokoro:{one}') for one in near)}?"
        )
    try:
        return KokoroVoice(name)
    except ImportError as error:
        raise SpeechError(
            f"Kokoro's voices need the Python packages onnxruntime and pypinyin ({error})."
        ) from error


def _model() -> Path:
    return folder() / "model.onnx"


def _names() -> list[str]:
    files = (folder() / "voices").glob("[zab][fm]_*.bin")
    return [file.stem for file in files if file.stat().st_size == STYLES * STYLE_SIZE * 4]


class KokoroVoice:
    """An open voice.

    Attributes:
        rate: samples per second.
        gain: of LEVELS.
    """

    rate = 24_000

    def __init__(self, name: str) -> None:
        self.gain, self._length = LEVELS.get(name, UNKNOWN_LEVELS)
        styles = np.fromfile(folder() / "voices" / f"{name}.bin", np.float32)
        self._styles = styles.reshape(STYLES, 1, STYLE_SIZE)
        self._british = name[0] == "b"
        self._tokens = token_numbers()
        try:
            self._network = open_session(_model(), keep_memory=True)
        except Exception as error:  # onnxruntime's own kinds
            raise SpeechError(
                f"Kokoro's model at {_model()} cannot be loaded ({error}); {REMEDY}."
            ) from error
        mandarin.phonemes("你好")  # loads the dictionaries

    def split(self, text: str) -> list[str]:
        """Cut into clauses (Chinese) or sentences (English)."""
        return split(text)

    def can_read(self, text: str) -> bool:
        """False where a letter or a word would be silent."""
        if any(map(_is_foreign, text)):
            return False
        rest = _HAN_RUN.sub(" ", text)
        return not any(map(str.isalnum, rest)) or self._reads_english(rest)

    def _reads_english(self, text: str) -> bool:
        try:
            return _english(british=self._british).is_complete(text)
        except Exception:  # hibari's rules fail at odd numerals
            return False

    def render(self, text: str, rate_wpm: int) -> FloatSamples:
        """The speech of a piece, of whatever length."""
        phonemes, seconds = self._phonemes(text, rate_wpm)
        parts = split_text(phonemes, MOST_PHONEMES)
        sounds = [self._speak(part, seconds * len(part) / len(phonemes)) for part in parts]
        return np.concatenate([np.zeros(0, np.float32), *sounds])

    def _phonemes(self, text: str, rate_wpm: int) -> tuple[str, float]:
        """The phonemes of a piece, and how many seconds espeak-ng takes for it."""
        phonemes: list[str] = []
        syllables, seconds, end = 0, 0.0, 0

        def add_rest(rest: str) -> float:
            rest = rest.translate(MARKS)
            if not any(map(str.isalnum, rest)):
                phonemes.append("".join(mark for mark in rest if mark in self._tokens))
                return 0.0
            spoken = _english(british=self._british).phonemes(rest)
            phonemes.append(f" {spoken} ")
            return espeak_seconds(spoken, rate_wpm)

        for run in _HAN_RUN.finditer(text):
            seconds += add_rest(text[end : run.start()])
            phonemes.append(mandarin.phonemes(run[0]))
            syllables += len(run[0])
            end = run.end()
        seconds += add_rest(text[end:]) + mandarin.espeak_seconds(syllables, rate_wpm)
        return " ".join("".join(phonemes).split()), seconds

    def _speak(self, phonemes: str, seconds: float) -> FloatSamples:
        """The speech of phonemes, as long as wanted, with a little silence around it."""
        known = [one for one in phonemes if one in self._tokens]
        spoken = "".join(known).rstrip(";:,.!?—… ")
        if not any(map(str.isalpha, spoken)):
            return np.zeros(0, np.float32)
        tokens = [END_TOKEN, *(self._tokens[one] for one in known), END_TOKEN]
        longest = np.zeros((1, len(tokens)), np.float32)
        longest[0, : len(spoken)] = np.inf
        longest[0, 0], longest[0, len(spoken)] = FIRST_FRAMES, LAST_FRAMES
        inputs = {
            "tokens": np.array([tokens], np.int64),
            "style": self._styles[min(len(known), STYLES - 1)],
            "frames": np.array([seconds * self._length * FRAMES_PER_SECOND], np.float32),
            "longest": longest,
        }
        samples: FloatSamples = self._network.run(None, inputs)[0].ravel()
        return samples


@lru_cache(maxsize=1)
def token_numbers() -> dict[str, int]:
    """The network's number of each phoneme and mark; hibari's package has Kokoro's table."""
    from hibari.tts import ASSETS

    numbers: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_bytes())
    return numbers


@lru_cache(maxsize=2)
def _english(*, british: bool) -> "Reading":
    """The English phonemes, which hibari's package reads; loaded by the first English word."""
    from audio.tts.neural.hibari_reading import Reading

    return Reading(british=british)


@lru_cache(maxsize=4096)
def _is_foreign(character: str) -> bool:
    """True for a letter that is neither a Chinese character with a reading nor a Latin one."""
    if _HAN_RUN.match(character):
        return not mandarin.is_readable(character)
    if unicodedata.category(character)[0] not in "LM":
        return False
    return not unicodedata.name(character, "").startswith(("LATIN ", "COMBINING "))


def split(text: str) -> list[str]:
    """Cut into clauses (Chinese) or sentences (English), the first of which is soon heard."""
    text = clean_text(text)
    if is_han(text):
        parts = _join_short(_CHINESE_CLAUSE.findall(chinese.spoken_form(text)))
        limits = CHINESE_CHARACTERS
    else:
        from hibari import Hibari

        parts = list(Hibari.split_sentences(english.spoken_form(text)))
        limits = ENGLISH_CHARACTERS
    return _limit([run for part in parts for run in _split_foreign(part)], *limits)


def _limit(pieces: list[str], first: int, others: int) -> list[str]:
    """Cut pieces to a number of characters; the first one only where a clause ends."""
    if pieces and len(pieces[0]) > first:
        begin = split_text(pieces[0], first)[0]
        if ends_clause(begin):
            pieces = [begin, pieces[0][len(begin) :].strip(), *pieces[1:]]
    return [part for piece in pieces for part in split_text(piece, others)]


def _join_short(clauses: list[str]) -> list[str]:
    """Join a very short clause to the next one of its sentence; it is not clear by itself."""
    joined: list[str] = []
    for clause in map(str.strip, clauses):
        is_short = joined and sum(map(str.isalnum, joined[-1])) < SHORTEST_CLAUSE
        if is_short and not _SENTENCE_END.search(joined[-1]):
            joined[-1] += clause
        elif clause:
            joined.append(clause)
    return joined


def _split_foreign(text: str) -> list[str]:
    """Cut where letters begin or end that no voice reads; marks stay with the letters before."""
    pieces, kind = [""], None
    for character in text:
        if character.isalpha():
            foreign = _is_foreign(character)
            if kind is not None and foreign != kind:
                pieces.append("")
            kind = foreign
        pieces[-1] += character
    return [piece.strip() for piece in pieces if piece.strip()]
