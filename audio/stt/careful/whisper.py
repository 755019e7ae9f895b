"""The careful recogniser: Whisper by faster-whisper, from a folder on this machine.

Whisper hears 30 s, whatever the length of the sound, and its encoder takes most of the time. Here
it gets the sound and a second of silence only, which costs a fifth. Some short sounds are then
repeated without an end; where that happens the whole 30 s are heard.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio.pcm import SAMPLE_RATE
from audio.phrases import bare
from audio.stt.careful.model_files import require_package
from config.errors import HearingModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAX_SECONDS = 29.0  # of a sound; Whisper hears no more at once
_SILENCE_SECONDS = 1.0  # after the sound
_WINDOW_FRAMES = 3000  # of 10 ms, which Whisper was trained with
_TOKENS, _TOKENS_PER_SECOND = 6, 7  # the most that are spoken in a sound: some, and more by time
_THREADS = 1  # the microphone is heard meanwhile
_NUMERALS = re.compile(r"[0-9%$£€¥]")


class WhisperRecognizer:
    """A loaded Whisper model; loading takes a second. For one thread at a time."""

    def __init__(self, folder: Path, language: str) -> None:
        """Load the model in `folder` for a language, "en" or "zh".

        Raises:
            MissingPackageError: faster-whisper is not installed, or zhconv for Chinese.
            HearingModelError: the folder holds no such model, or not for this language.
        """
        require_package(language)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded
        from faster_whisper import WhisperModel

        self.folder = folder
        self._language = language
        try:
            self._whisper: Any = WhisperModel(
                str(folder),
                device="cpu",
                compute_type="int8",
                cpu_threads=_THREADS,
                local_files_only=True,
            )
        except Exception as error:  # CTranslate2 and tokenizers raise nothing narrower
            raise HearingModelError(
                f"The Whisper model at {folder} cannot be loaded: {error}; replace it, or set "
                f"hearing.seed to vosk."
            ) from error
        if language != "en" and not self._whisper.model.is_multilingual:
            raise HearingModelError(
                f"The Whisper model at {folder} knows English only; name a multilingual one in "
                f"hearing.careful_model, or set hearing.seed to vosk."
            )

    def hear(self, pcm: bytes) -> str:
        """The words of 16-bit samples at 16 kHz, of at most MAX_SECONDS, as Vosk writes them.

        They are lower-case without punctuation; Chinese is in simplified characters. Empty where
        there are none, or where their end is not found.
        """
        import numpy as np

        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        seconds = len(sound) / SAMPLE_RATE
        silence = np.zeros(round(_SILENCE_SECONDS * SAMPLE_RATE), np.float32)
        # (mel bands, frames): silence is lowest there, not zero.
        features = self._whisper.feature_extractor(np.concatenate([sound, silence]), padding=0)
        limit = round(_TOKENS + _TOKENS_PER_SECOND * seconds)
        tokens = self._decoded(features[:, :_WINDOW_FRAMES], limit)
        if len(tokens) >= limit:
            missing = max(0, _WINDOW_FRAMES - features.shape[1])
            whole = np.pad(features, ((0, 0), (0, missing)))[:, :_WINDOW_FRAMES]
            tokens = self._decoded(whole, limit)
        return "" if len(tokens) >= limit else self._plain(tokens)

    def _decoded(self, features: "npt.NDArray[np.float32]", limit: int) -> list[int]:
        """At most `limit` tokens of the log-mel spectrogram (mel bands, frames), without marks."""
        encoded = self._whisper.encode(features)
        result = self._whisper.model.generate(
            encoded,
            [self._prompt],
            beam_size=1,  # five cost twice as much and err as often
            suppress_blank=True,
            suppress_tokens=[-1, *self._numerals],
            max_length=2 * limit,  # CTranslate2 takes half of it for a prompt
        )[0]
        end = self._whisper.hf_tokenizer.token_to_id("<|endoftext|>")  # marks come after it
        return [token for token in result.sequences_ids[0] if token < end]

    @cached_property
    def _prompt(self) -> list[int]:
        marks = ["<|startoftranscript|>"]
        if self._whisper.model.is_multilingual:
            marks += [f"<|{self._language}|>", "<|transcribe|>"]
        marks.append("<|notimestamps|>")
        return [self._whisper.hf_tokenizer.token_to_id(mark) for mark in marks]

    @cached_property
    def _numerals(self) -> list[int]:
        """Tokens with digits: without them numbers are written as words, which are spoken."""
        vocabulary = self._whisper.hf_tokenizer.get_vocab()
        return [number for token, number in vocabulary.items() if _NUMERALS.search(token)]

    def _plain(self, tokens: list[int]) -> str:
        text = str(self._whisper.hf_tokenizer.decode(tokens)).replace("’", "'")
        if self._language == "zh":
            import zhconv

            text = str(zhconv.convert(text, "zh-cn"))
        return bare(text)
