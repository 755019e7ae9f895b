"""hibari: English voices distilled from Kokoro-82M, from the package hibari-tts.

One voice is in the package. hibari fetches its others from the network when they are asked for;
here they are used where the user has put their files, and never fetched.
"""

import difflib
import hashlib
import json
import unicodedata
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from audio.tts.english import spoken_form
from audio.tts.neural.hibari_reading import Reading, is_foreign
from audio.tts.neural.onnx import open_session
from audio.tts.neural.pace import espeak_seconds
from audio.tts.neural.synthesizer import FloatSamples
from audio.tts.text import clean_text, ends_clause, split_scripts, split_text
from audio.tts.voices import Voice
from config.errors import ConfigError, SpeechError

LICENCE = "Apache-2.0"
DEFAULT_VOICE = "heart"
PIECE_CHARACTERS = 250
FIRST_CHARACTERS = 120  # of the first piece, which is heard while the next one is made
FRAMES_PER_SECOND = 80
# The network's durations are whole frames at its own pace; only there, and at half of it, is
# the rhythm natural. It makes the nearer one of these, and the frames are stretched to fit.
HALF_PACE_WPM = 130  # slower rates begin from half the pace
PHONEMES_AT_ONCE = 300  # at its own pace; memory grows with the number of frames
SPEECH_LEVEL = 0.005  # of the loudest frame's amplitude; softer frames at the ends are silence
EDGE_FRAMES = 5  # that `trim` leaves around those: softer speech, and a little silence
MARGIN_FRAMES = 8  # left at each end, soft speech and silence
VOICED_HZ = 40  # below that a frame has no pitch
SEED = 0  # of the noise in the voice: the same text gives the same samples


def voices() -> list[Voice]:
    """The voice in the package, and those whose files the user has."""
    if find_spec("hibari") is None or find_spec("onnxruntime") is None:
        return []
    from hibari.voices import VOICES

    found = version("hibari-tts")
    return [
        Voice(_id(name), name.capitalize(), entry["language"].lower(), "hibari", LICENCE, found)
        for name, entry in VOICES.items()
        if _is_installed(name)
    ]


def open_voice(name: str) -> "HibariVoice":
    """Load a voice, such as "heart" or "emma"; an empty name is the default voice.

    Raises:
        ConfigError: there is no such voice, its file is missing, or it is another file.
        SpeechError: hibari-tts or onnxruntime is not installed, or cannot work.
    """
    try:
        return HibariVoice(_find_model(name.strip().casefold() or DEFAULT_VOICE))
    except ConfigError:
        raise
    except ImportError as error:
        raise SpeechError(
            f"The voice hibari needs the Python packages hibari-tts and onnxruntime ({error})."
        ) from error
    except Exception as error:  # onnxruntime's own have no common base
        raise SpeechError(
            f"The voice hibari cannot be loaded; install hibari-tts anew ({error})."
        ) from error


def _id(name: str) -> str:
    return "hibari" if name == DEFAULT_VOICE else f"hibari:{name}"


def _file_of(name: str) -> Path:
    """Where the model of a known voice is, or should be."""
    from hibari.voices import voice_path

    try:
        return Path(voice_path(name, download_missing=False))
    except FileNotFoundError as missing:
        return Path(missing.args[0])


def _is_installed(name: str) -> bool:
    from hibari.voices import VOICES

    try:
        return bool(_file_of(name).stat().st_size == VOICES[name]["bytes"])
    except OSError:
        return False


def _find_model(name: str) -> tuple[Path, bool]:
    """The model file of a voice, and whether the voice is a British one."""
    from hibari.voices import VOICES

    if name not in VOICES:
        near = difflib.get_close_matches(name, VOICES) or [DEFAULT_VOICE]
        raise ConfigError(
            f"voice.name: hibari has no voice {name!r}; did you mean "
            f"{' or '.join(map(repr, map(_id, near)))}?"
        )
    entry, file = VOICES[name], _file_of(name)
    if not _is_installed(name):
        raise ConfigError(
            f"voice.name: hibari's voice {name!r} needs the file {file} "
            f"({entry['bytes']:,} bytes), which Afterword does not fetch; "
            f"put {entry['file']} there, from the voices of hibari-tts."
        )
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != entry["sha256"]:
        raise ConfigError(
            f"voice.name: {file} is not hibari's voice {name!r} (its SHA-256 differs); "
            "put the right file there."
        )
    return file, bool(entry["british"])


class HibariVoice:
    """An open voice.

    Attributes:
        rate: samples per second.
        gain: measured by scripts/measure-pace over 90 sentences.
    """

    rate = 24_000
    gain = 1.85

    def __init__(self, model: tuple[Path, bool]) -> None:
        """Load the lexica first: the network takes room that reading them has freed."""
        file, british = model
        self._reading = Reading(british=british)
        self._network = open_session(file)
        self._ids = _phoneme_ids()

    def split(self, text: str) -> list[str]:
        """Cut into sentences of up to 250 characters, and where the script changes."""
        from hibari import Hibari

        pieces: list[str] = []
        for sentence in Hibari.split_sentences(spoken_form(clean_text(text))):
            for run in split_scripts(sentence, is_foreign):
                # Emoji and marks go with the words before or behind them, which hides them.
                if pieces and not (_has_words(run) and _has_words(pieces[-1])):
                    run = f"{pieces.pop()} {run}"
                pieces += split_text(run, PIECE_CHARACTERS)
        return _cut_first(pieces)

    def can_read(self, text: str) -> bool:
        """False for letters of other scripts, for symbols alone, and for silent words."""
        if any(map(is_foreign, text)):
            return False
        if not _has_words(text):
            return not any(map(_is_symbol, text))
        try:
            return self._reading.is_complete(text)
        except Exception:  # hibari's rules fail at odd numerals; espeak-ng reads anything
            return False

    def render(self, text: str, rate_wpm: int) -> FloatSamples:
        """The speech of a piece, of whatever length."""
        pace = 0.5 if rate_wpm < HALF_PACE_WPM else 1.0
        phonemes = self._reading.phonemes(text)
        parts = split_text(phonemes, int(PHONEMES_AT_ONCE * pace))
        sounds = [self._speak(part, pace, espeak_seconds(part, rate_wpm)) for part in parts]
        return np.concatenate([np.zeros(0, np.float32), *sounds])

    def _speak(self, phonemes: str, pace: float, seconds: float) -> FloatSamples:
        """The speech of some phonemes, with a little silence around it."""
        from hibari.dsp import synth

        if not any(map(str.isalpha, phonemes)):
            return np.zeros(0, np.float32)
        ids = [0, *(self._ids[one] for one in phonemes if one in self._ids), 0]
        inputs = {"ids": np.array([ids], np.int64), "speed": np.array([pace], np.float32)}
        frames = [output[0] for output in self._network.run(None, inputs)]
        frames = _stretch(frames, round(seconds * FRAMES_PER_SECOND))
        samples: FloatSamples = synth(*frames, np.random.default_rng(SEED))
        return samples


def _cut_first(pieces: list[str]) -> list[str]:
    """Cut a long first piece at a clause, so that its beginning is soon heard."""
    if not pieces or len(pieces[0]) <= FIRST_CHARACTERS:
        return pieces
    first = split_text(pieces[0], FIRST_CHARACTERS)[0]
    rest = pieces[0][len(first) :].strip()
    return [first, rest, *pieces[1:]] if ends_clause(first) else pieces


def _has_words(text: str) -> bool:
    return any(map(str.isalnum, text))


def _is_symbol(character: str) -> bool:
    """True for emoji, signs of currencies and other symbols that have names."""
    return unicodedata.category(character)[0] == "S"


def _phoneme_ids() -> dict[str, int]:
    from hibari.tts import ASSETS

    ids: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_bytes())
    return ids


def _stretch(frames: list[FloatSamples], wanted: int) -> list[FloatSamples]:
    """Stretch the speech in the network's frames to a number of frames.

    Args:
        frames: log level and phase of the harmonic part, log level of the noise, log level and
            phase of the rest, each (601, F), and the pitch in Hz, (F,); see hibari.dsp.
        wanted: how many frames the speech is to last; silence comes on top.
    """
    harmonic, phase, noise, rest, rest_phase, pitch = frames
    begin, end = _speech_bounds(harmonic, noise, rest)
    wanted = max(wanted - EDGE_FRAMES, 1)
    inside = begin + (np.arange(wanted) + 0.5) * (end - begin) / wanted - 0.5
    margin = np.arange(MARGIN_FRAMES)
    places = np.concatenate((begin - MARGIN_FRAMES + margin, inside, end + margin))
    places = np.clip(places, 0, len(pitch) - 1)
    left = places.astype(np.intp)
    right = np.minimum(left + 1, len(pitch) - 1)
    nearest = np.rint(places).astype(np.intp)
    share = (places - left).astype(np.float32)

    def between(values: FloatSamples) -> FloatSamples:
        return values[..., left] * (1 - share) + values[..., right] * share

    # Between a frame with a pitch and one without there is no pitch in the middle.
    voiced = np.minimum(pitch[left], pitch[right]) > VOICED_HZ
    return [
        *(between(harmonic), phase[:, nearest], between(noise), between(rest)),
        *(rest_phase[:, nearest], np.where(voiced, between(pitch), pitch[nearest])),
    ]


def _speech_bounds(*levels: FloatSamples) -> tuple[int, int]:
    """The first frame of the speech, and the one behind its last, by the log levels (bins, F)."""
    power = sum(np.exp(2 * level).sum(axis=0) for level in levels)
    loud = np.flatnonzero(power > SPEECH_LEVEL**2 * power.max())
    return loud[0], loud[-1] + 1
