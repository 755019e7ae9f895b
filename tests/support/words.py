"""The words of a text, those recognised in a recording, and the share that is missing."""

import re
from collections import Counter
from pathlib import Path

import soundfile
import soxr

from audio.evaluation.intelligibility import VoskListener
from audio.pcm import SAMPLE_RATE
from audio.stt.vosk_engine import VoskEngine


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("’", "'"))


def heard(recording: Path, model_folder: Path) -> list[str]:
    """The words that Vosk recognises in a recording, with its open vocabulary."""
    samples, rate = soundfile.read(recording, dtype="int16")
    listener = VoskListener(VoskEngine(model_folder))
    return words(listener.hear(soxr.resample(samples, rate, SAMPLE_RATE)))


def share_missing(text: str, spoken: list[str]) -> float:
    """The share of the text's words, 0 to 1, that are not in `spoken`; order does not matter."""
    wanted = Counter(words(text))
    return (wanted - Counter(spoken)).total() / wanted.total()
