"""Piper voices that the user has, with the extra `piper`; GPL, so in the worker process alone."""

import io
import json
import subprocess
import sys
import unicodedata
import wave
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, cast

import numpy as np

from audio.tts.english import spoken_form
from audio.tts.neural.onnx import open_session
from audio.tts.neural.synthesizer import FloatSamples
from audio.tts.text import split_clauses, split_scripts, split_until
from audio.tts.voices import Voice
from config.errors import ConfigError
from config.installation import add_extra_command
from config.paths import data_folder

LICENCE = "GPL-3.0-or-later, and the voice's own"
SUFFIX = ".onnx"
PHONEMES = ("espeak", "text")  # how Piper reads; its other ways need models that it downloads
MOST_PHONEMES = 150  # of a piece; a picture or a number holds more than its characters let expect
SHORTEST_CLAUSE = 20  # characters
SHORTEST_SCALE = 0.1
NAMED_SPEAKERS = 5  # in an error message

# Both the voice and espeak-ng say one of these at the start.
SENTENCE = "The little fox went home before the rain began, and the old sailor looked at the sea."
NUMBERS = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15"  # read in every language
ESPEAK = (sys.executable, "-P", "-m", "audio.tts.worker")
ESPEAK_WPM = 150
ESPEAK_SECONDS = 10.0  # it has for that
ESPEAK_SPEECH = 5.3, 0.093  # the length of the sentence in seconds and its level, where it fails
FRAME_SECONDS, SILENT_POWER = 0.02, 1e-4  # frames this much weaker than the strongest are silent
# The length of espeak-ng's speech, 1 at 150 words a minute, by 150 / rate; from 40 sentences.
RATES = (150 / 450, 150 / 300, 150 / 200, 1.0, 150 / 110, 150 / 80)
LENGTHS = (0.352, 0.514, 0.756, 1.0, 1.356, 1.757)

LATIN = "LATIN"
ALWAYS_READ = frozenset((LATIN, "MODIFIER", "MICRO", "FEMININE", "MASCULINE"))
# Languages in other scripts, by the first word of the Unicode names of their letters.
SCRIPTS = {
    "ARABIC": "ar fa ku ur",
    "BENGALI": "bn",
    "CJK": "cmn hak yue zh",
    "CYRILLIC": "be bg kk ky mk ru sr tt uk",
    "DEVANAGARI": "hi mr ne",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "HANGUL": "ko",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "TAMIL": "ta",
    "TELUGU": "te",
}


def folder() -> Path:
    """Where voices are found by their name alone."""
    return data_folder() / "voices" / "piper"


def voices() -> list[Voice]:
    """The voices of the folder."""
    found = []
    for model in sorted(folder().glob(f"*{SUFFIX}")):
        try:
            language = _settings(model)["espeak"]["voice"]
        except (ConfigError, LookupError, TypeError):
            continue
        found.append(Voice(f"piper:{model.stem}", model.stem, language, "piper", LICENCE))
    if not found or not find_spec("piper"):
        return []
    engine = version("piper-tts")
    return [replace(voice, version=engine) for voice in found]


def open_voice(name: str) -> "PiperSynthesizer":
    """Load a voice: the path of its .onnx file, or its name in the folder.

    Behind "#" follows the name or the number of one of several speakers.
    """
    if not find_spec("piper"):
        raise ConfigError(
            f"voice.name: for Piper voices the package piper-tts is missing; install it: "
            f"{add_extra_command('piper')}"
        )
    path, mark, speaker = name.rpartition("#")
    if not mark or name.endswith(SUFFIX):
        path, speaker = name, ""
    model = _model(path)
    settings = _settings(model)
    try:
        return PiperSynthesizer(model, settings, speaker)
    except ConfigError:
        raise
    except Exception as error:  # onnxruntime has exceptions of its own, for any damage
        raise ConfigError(
            f"voice.name: {model} or {model.name}.json is damaged, or no Piper voice "
            f"({type(error).__name__}); download both again."
        ) from error


def _model(name: str) -> Path:
    """The path of a voice's model, which is there."""
    if not name.strip():
        raise ConfigError(
            "voice.name: a Piper voice is given by the path of its file, as in "
            f"'piper:/path/voice.onnx', or by its name in {folder()}, as in 'piper:voice'."
        )
    try:
        is_path = "/" in name or name.endswith(SUFFIX)
        model = Path(name).expanduser().absolute() if is_path else folder() / f"{name}{SUFFIX}"
        if model.is_file():
            return model
        reason = "that is a folder" if model.is_dir() else "there is no such file"
    except (OSError, RuntimeError) as error:  # not allowed, too long; "~nobody"
        reason, model = getattr(error, "strerror", None) or str(error), Path(name)
    raise ConfigError(
        f"voice.name: {model} is no Piper voice: {reason}; give the path of an {SUFFIX} file that "
        f"has its {SUFFIX}.json beside it."
    )


def _settings(model: Path) -> Any:
    """What the file beside the model tells."""
    file = model.with_name(f"{model.name}.json")
    try:
        return json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"voice.name: {file} cannot be read: {error.strerror}; a Piper voice is two files, "
            f"{model.name} and {file.name}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"voice.name: {file} is damaged: {error}; download it again.") from error


class PiperSynthesizer:
    """A Piper voice."""

    def __init__(self, model: Path, settings: dict[str, Any], speaker: str) -> None:
        """Load the model, and compare its pace and level with espeak-ng's.

        Args:
            model: the .onnx file.
            settings: of the .onnx.json file.
            speaker: name or number, or empty.

        Raises:
            ConfigError: there is no such speaker, or the voice reads in a way that is not offered.
        """
        kind = settings.get("phoneme_type", "espeak")
        if kind not in PHONEMES:
            raise ConfigError(
                f"voice.name: {model} reads by {kind!r}, for which Piper would download a model "
                "while it speaks; take a voice whose .onnx.json has the phoneme_type 'espeak'."
            )
        session = open_session(model)  # before piper, which imports onnxruntime
        from piper.config import PiperConfig, SynthesisConfig
        from piper.voice import PiperVoice

        config = PiperConfig.from_dict(settings)
        self._script = _script(config.espeak_voice)
        self._scripts = ALWAYS_READ | {self._script}
        self._letters = config.phoneme_id_map if kind == "text" else None
        self._piper = PiperVoice(session=session, config=config)
        self._settings = SynthesisConfig(speaker_id=_speaker(model, config, speaker))
        self.rate = config.sample_rate
        self._compare_with_espeak(config)

    def _compare_with_espeak(self, config: Any) -> None:
        """Say the same as espeak-ng: it tells how loud and how fast the voice is.

        Each sound lasts half a frame longer, on average, than its part of the length that is asked
        for, for the model rounds up.
        """
        text = SENTENCE if self._script == LATIN else NUMBERS
        if not self.can_read(text):
            text = "".join(filter(str.isalpha, config.phoneme_id_map))
        ids = self._piper.phonemes_to_ids(self._phonemes(text))
        with _espeak(config.espeak_voice, text) as process:
            seconds, level = _measure(self._synthesize(ids, config.length_scale), self.rate)
            self._espeak_seconds, espeak_level = _espeak_speech(process)
        self.gain = espeak_level / level
        self._rounding = 0.5 * len(ids) * config.hop_length / self.rate
        self._seconds = (seconds - self._rounding) / config.length_scale
        if self._seconds <= 0:
            raise ValueError("its speech does not grow with the text")

    def split(self, text: str) -> list[str]:
        """Cut into clauses."""
        if self._piper.config.espeak_voice.startswith("en"):
            text = spoken_form(text)
        clauses = split_clauses(text, SHORTEST_CLAUSE)
        runs = [run for clause in clauses for run in split_scripts(clause, self._is_foreign)]
        return [piece for run in runs for piece in split_until(run, self._is_short)]

    def _is_short(self, text: str) -> bool:
        return not self.can_read(text) or len(self._phonemes(text)) <= MOST_PHONEMES

    def can_read(self, text: str) -> bool:
        """False where there are letters of other scripts."""
        return not any(map(self._is_foreign, text))

    def _is_foreign(self, character: str) -> bool:
        if self._letters is not None:
            letter = unicodedata.normalize("NFD", character)[0]
            return letter.isalnum() and not {letter, letter.lower()} & self._letters.keys()
        return character.isalpha() and _script_of(character) not in self._scripts

    def render(self, text: str, rate_wpm: int) -> FloatSamples:
        """The speech of a piece."""
        phonemes = self._phonemes(text)
        if not any(one.isalnum() for one in phonemes):
            return np.zeros(0, np.float32)
        wished = self._espeak_seconds * np.interp(ESPEAK_WPM / rate_wpm, RATES, LENGTHS)
        scale = max(SHORTEST_SCALE, float(wished - self._rounding) / self._seconds)
        return self._synthesize(self._piper.phonemes_to_ids(phonemes), scale)

    def _phonemes(self, text: str) -> list[str]:
        """The phonemes of a piece.

        It is one sentence: where espeak-ng finds several, the stops are those of abbreviations.
        """
        phonemes: list[str] = []
        # What stands in two brackets would be phonemes, and behind NUL there would be nothing.
        for sentence in self._piper.phonemize(text.replace("[[", "[ [").replace("\0", " ")):
            if phonemes:
                phonemes[-1:] = [" "] if phonemes[-1] == "." else [phonemes[-1], " "]
            phonemes += sentence
        if self._letters is not None:
            phonemes = [one if one in self._letters else one.lower() for one in phonemes]
        return phonemes

    def _synthesize(self, ids: list[int], length_scale: float) -> FloatSamples:
        settings = replace(self._settings, length_scale=length_scale)
        return cast(FloatSamples, self._piper.phoneme_ids_to_audio(ids, settings))


def _speaker(model: Path, config: Any, wanted: str) -> int | None:
    """The number of a speaker; None for the voice's own choice.

    Raises:
        ConfigError: there is no such speaker.
    """
    if not wanted:
        return None
    number = config.speaker_id_map.get(wanted)
    if number is None and wanted.isdecimal():
        number = int(wanted)
    if number is None or number >= config.num_speakers:
        names = ", ".join(sorted(config.speaker_id_map)[:NAMED_SPEAKERS])
        raise ConfigError(
            f"voice.name: {model} has no speaker {wanted!r}; it has {config.num_speakers}, "
            f"numbered from 0{', such as ' + names if names else ''}."
        )
    return int(number)


def _script_of(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _script(espeak_voice: str) -> str:
    """The first word of the names of the letters that a language is written in."""
    language = espeak_voice.partition("-")[0]
    return next((name for name, codes in SCRIPTS.items() if language in codes.split()), LATIN)


def _espeak(voice: str, text: str) -> "subprocess.Popen[bytes]":
    arguments = (f"--voice={voice}", f"--rate={ESPEAK_WPM}", f"--say={text}")
    return subprocess.Popen((*ESPEAK, *arguments), stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)


def _espeak_speech(process: "subprocess.Popen[bytes]") -> tuple[float, float]:
    """What `_measure` tells of the sound that espeak-ng writes."""
    try:
        data, _ = process.communicate(timeout=ESPEAK_SECONDS)
        with wave.open(io.BytesIO(data)) as wav:
            samples = np.frombuffer(wav.readframes(wav.getnframes()), np.int16)
            return _measure((samples / 32768).astype(np.float32), wav.getframerate())
    except (wave.Error, EOFError, subprocess.TimeoutExpired):  # it lacks the language, or is busy
        return ESPEAK_SPEECH
    finally:
        process.kill()


def _measure(sound: FloatSamples, rate: int) -> tuple[float, float]:
    """The length of the speech in seconds and its level, the RMS of what is not silent."""
    size = round(FRAME_SECONDS * rate)
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power > SILENT_POWER * power.max())
    return float((loud[-1] + 1 - loud[0]) * FRAME_SECONDS), float(np.sqrt(power[loud].mean()))
