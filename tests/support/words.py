"""The words of a text, those recognised in a recording, and the share that is missing."""

import json
import re
from collections import Counter
from pathlib import Path

import soundfile
import soxr

VOSK_RATE = 16_000


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower().replace("’", "'"))


def heard(recording: Path, model_folder: Path) -> list[str]:
    """The words that Vosk recognises in a recording, with its open vocabulary."""
    import vosk

    vosk.SetLogLevel(-1)
    samples, rate = soundfile.read(recording, dtype="int16")
    samples = soxr.resample(samples, rate, VOSK_RATE)
    recogniser = vosk.KaldiRecognizer(vosk.Model(model_path=str(model_folder)), VOSK_RATE)
    pieces = []
    for begin in range(0, len(samples), 4000):
        if recogniser.AcceptWaveform(samples[begin : begin + 4000].tobytes()):
            pieces.append(json.loads(recogniser.Result())["text"])
    pieces.append(json.loads(recogniser.FinalResult())["text"])
    return words(" ".join(pieces))


def share_missing(text: str, spoken: list[str]) -> float:
    """The share of the text's words, 0 to 1, that are not in `spoken`; order does not matter."""
    wanted = Counter(words(text))
    return (wanted - Counter(spoken)).total() / wanted.total()
