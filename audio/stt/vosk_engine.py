"""The speech-to-text engine: a wrapper of Vosk that avoids its crashes and downloads.

In vosk 0.3.45, `Model()` without a folder downloads and exits the process, a grammar that is not a
list of strings is a segmentation fault, `SetGrammar` after audio aborts, a truncated graph loads
and fails only when a recogniser is built, a wrong sample rate gives silent garbage.
"""

import contextlib
import importlib
import json
import struct
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from audio.native_stderr import quiet_stderr
from audio.pcm import SAMPLE_RATE
from audio.stt import vosk_words
from config.errors import HearingModelError

UNKNOWN = "[unk]"
_FREQUENT_WORDS = 3000  # number of


@dataclass(frozen=True)
class Word:
    """A recognised word; times in seconds since its recogniser was made.

    `confidence` is the posterior probability of the word, from 0 to 1.
    """

    text: str
    start: float
    end: float
    confidence: float = 1.0


@dataclass(frozen=True)
class Hypothesis:
    """Words for a whole sound, and its log likelihood given them, in nats.

    The score adds up acoustic model and grammar, up to a constant of the sound: only scores of the
    same sound can be compared.
    """

    text: str
    score: float


class Recognizer:
    """A streaming recogniser of words. For one thread."""

    def __init__(self, raw: Any) -> None:
        raw.SetWords(True)
        self._raw = raw

    def accept(self, pcm: bytes) -> list[Word] | None:
        """Hear 16-bit samples; the words of an utterance when the engine finds its end, else None.

        The times of words do not start anew with an utterance.
        """
        return _words(self._raw.Result()) if self._raw.AcceptWaveform(pcm) else None

    def partial(self) -> str:
        """The words of the current utterance so far; they may still change."""
        return str(json.loads(self._raw.PartialResult()).get("partial", ""))

    def finish(self) -> list[Word]:
        """End the current utterance now, without waiting for silence."""
        return _words(self._raw.FinalResult())


class PathRecognizer:
    """An n-best recogniser for one whole sound. For one thread."""

    def __init__(self, raw: Any, count: int) -> None:
        raw.SetMaxAlternatives(count)  # else the scores are posteriors of words, mostly 1
        self._raw = raw

    def accept(self, pcm: bytes) -> None:
        """Hear more of the sound, as 16-bit samples."""
        # Fetching a result at the end of an utterance would end the sound there.
        self._raw.AcceptWaveform(pcm)

    def finish(self) -> list[Hypothesis]:
        """The best paths, up to `count`, the best first."""
        found = json.loads(self._raw.FinalResult()).get("alternatives", [])
        return [Hypothesis(path["text"].strip(), path["confidence"]) for path in found]


class BackgroundRecognizer:
    """A PathRecognizer in a background thread, which hears sound in order; the caller never waits.

    The engine releases the interpreter's lock. The thread ends with `finish` or `drop`.
    """

    def __init__(self, make: Callable[[], PathRecognizer], pcm: bytes) -> None:
        """Start the thread; `make` builds the recogniser there, which then hears 16-bit samples."""
        self._thread = ThreadPoolExecutor(1, "recognizer")
        self._recognizer = self._thread.submit(make)
        self.hear(pcm)

    def hear(self, pcm: bytes) -> None:
        """Queue more samples."""
        self._thread.submit(lambda: self._recognizer.result().accept(pcm))

    def finish(self) -> Future[list[Hypothesis]]:
        """End the sound; the future gives the best paths."""
        result = self._thread.submit(lambda: self._recognizer.result().finish())
        self._thread.shutdown(wait=False)
        return result

    def drop(self) -> None:
        """Stop without a result; queued samples are discarded."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _words(result: str) -> list[Word]:
    words = json.loads(result).get("result", [])
    return [Word(w["word"], w["start"], w["end"], w["conf"]) for w in words]


class VoskEngine:
    """A loaded Vosk model. Loading takes half a second and 120 MB."""

    def __init__(self, folder: Path, end_seconds: float | None = None) -> None:
        """Load the model in `folder`.

        Args:
            folder: a Vosk model.
            end_seconds: the silence that ends a complete utterance (rule 2); None keeps the model's
                own rules.

        Raises:
            HearingModelError: it is missing, incomplete or damaged.
        """
        vosk = _import_vosk()
        vosk.SetLogLevel(-1)
        self.folder = folder
        self._recognizer = vosk.KaldiRecognizer
        try:
            with _with_endpoint_rules(folder, end_seconds) as loadable, quiet_stderr():
                self._model = vosk.Model(str(loadable))
                # A truncated graph shows only now; a grammar would crash on it.
                self.open_vocabulary()
        except Exception as error:  # vosk raises nothing narrower
            raise HearingModelError(
                f"The Vosk model at {folder} cannot be loaded; "
                f"run `afterword models fetch` to replace it."
            ) from error

    def grammar(self, entries: Sequence[str]) -> Recognizer:
        """A recogniser of these entries only; all their words must be known."""
        # Vosk reads no JSON escapes; Chinese words must come as they are.
        grammar = json.dumps(list(entries), ensure_ascii=False)
        return Recognizer(self._recognizer(self._model, SAMPLE_RATE, grammar))

    def paths(self, entries: Sequence[str], count: int = 1) -> PathRecognizer:
        """A recogniser that scores sequences of these entries; all words must be known."""
        grammar = json.dumps(list(entries), ensure_ascii=False)
        return PathRecognizer(self._recognizer(self._model, SAMPLE_RATE, grammar), count)

    def open_vocabulary(self) -> Recognizer:
        """A recogniser of any words."""
        return Recognizer(self._recognizer(self._model, SAMPLE_RATE))

    def knows(self, word: str) -> bool:
        """True if a word is in the vocabulary, which is lower-case."""
        return int(self._model.vosk_model_find_word(word)) >= 0

    def vocabulary(self) -> list[str]:
        """The model's words; none if its graph does not hold them."""
        try:
            return vosk_words.all_words(self._graph())
        except (OSError, struct.error, UnicodeDecodeError):
            return []

    @cached_property
    def frequent_words(self) -> list[str]:
        """The 3,000 words said most, most frequent first; none if the graph does not hold them."""
        try:
            return vosk_words.most_frequent(self._graph(), _FREQUENT_WORDS)
        except (OSError, struct.error, ValueError):
            return []

    def _graph(self) -> bytes:
        return (self.folder / "graph" / "Gr.fst").read_bytes()


def _import_vosk() -> Any:
    """Import vosk with a stub for requests, which it needs for downloads alone; none is made.

    Importing requests opens an Internet socket, to find out whether this machine has IPv6.
    """
    absent = "requests" not in sys.modules
    if absent:
        sys.modules["requests"] = types.ModuleType("requests")
    try:
        return importlib.import_module("vosk")
    finally:
        if absent:
            del sys.modules["requests"]


@contextlib.contextmanager
def _with_endpoint_rules(folder: Path, end_seconds: float | None) -> Iterator[Path]:
    """A folder that links to the model's files, but has other endpoint rules.

    Vosk 0.3.45 has no call to set them. Rule 2 ends an utterance that is surely complete, after
    `end_seconds` of silence; rule 3 a likely one, 0.1 s later; rule 4 any, 0.3 s later.
    """
    own = folder / "conf" / "model.conf"
    if end_seconds is None or not own.is_file():
        yield folder
        return
    kept = [line for line in own.read_text().splitlines() if "min-trailing-silence" not in line]
    rules = [
        f"--endpoint.rule{rule}.min-trailing-silence={end_seconds + extra:.2f}"
        for rule, extra in ((2, 0.0), (3, 0.1), (4, 0.3))
    ]
    with tempfile.TemporaryDirectory(prefix="afterword-") as name:
        links = Path(name)
        for part in folder.resolve().iterdir():
            if part.name != "conf":
                (links / part.name).symlink_to(part)
        (links / "conf").mkdir()
        for part in (folder / "conf").iterdir():
            if part.name != "model.conf":
                (links / "conf" / part.name).symlink_to(part.resolve())
        (links / "conf" / "model.conf").write_text("\n".join([*kept, *rules, ""]))
        yield links
