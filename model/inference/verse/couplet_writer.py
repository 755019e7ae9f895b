"""Draws couplets of regular Chinese verse, each from a word that its first line begins with.

To plan a poem by words, one for each part of it, follows Wang et al. 2016 ("Chinese Poetry
Generation with Planning based Neural Network").
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from model.device import device_faults
from model.inference.engine import InferenceEngine
from model.inference.sampler import SamplingOptions, sample
from model.inference.utf8_mask import FORBIDDEN, Utf8Mask
from model.memory import refuse_without_memory
from model.text.verse.couplets import MARKS, line_length
from model.text.vocabulary import TextDecoder, Vocabulary

Cancelled = Callable[[], bool]

# A beginning that is set leads the model astray more easily than its own: of 0.8, 0.6 and 0.5 at
# the default temperature of 0.8, 0.6 gave the poems that read best.
_COOLER = 0.75
_MOST_CHARACTERS = 16  # of a couplet: two lines of seven, and their marks


@dataclass(frozen=True)
class Couplet:
    """Two lines of equal length, with their marks.

    Attributes:
        text: "慈母手中线，游子身上衣。"
        bits: the mean of the characters that were drawn; fewer are likelier.
    """

    text: str
    bits: float


class CoupletWriter:
    """Draws couplets that follow those of a poem; one caller at a time."""

    def __init__(
        self, engine: InferenceEngine, vocabulary: Vocabulary, sampling: SamplingOptions
    ) -> None:
        """Draw with this model of verse, by these options, but cooler."""
        self._engine = engine
        self._vocabulary = vocabulary
        self._sampling = replace(sampling, temperature=_COOLER * sampling.temperature)
        self._utf8_mask = Utf8Mask(vocabulary.pieces)
        self._no_end = torch.zeros(vocabulary.size)  # (V,)
        self._no_end[vocabulary.end] = FORBIDDEN

    def draw(
        self,
        poem: Sequence[str],
        beginnings: Sequence[str],
        random: torch.Generator,
        cancelled: Cancelled,
    ) -> Iterator[Couplet]:
        """Draw a couplet from each of the beginnings; yields the well-formed ones.

        Args:
            poem: its couplets so far; the new ones have lines of the same length.
            beginnings: the first words; empty for any.
            random: gives the random numbers.
            cancelled: polled at every token; if true, no more are yielded.

        Raises:
            DeviceError: the GPU failed, or its memory is full.
            GenerationError: the model computed numbers that are not finite, or memory is short.
        """
        before = "".join(f"{couplet}\n" for couplet in poem)
        for beginning in beginnings:
            drawn = self._draw(before, beginning, random, cancelled)
            if cancelled():
                return
            length = line_length(drawn.text)
            if length and (not poem or length == line_length(poem[0])):
                yield drawn

    def _draw(
        self, before: str, beginning: str, random: torch.Generator, cancelled: Cancelled
    ) -> Couplet:
        """Draw up to the second mark, or until the text is too long for a couplet."""
        ids = [self._vocabulary.end, *self._vocabulary.encode(before + beginning)]
        known = len(ids)
        decoder = TextDecoder(self._vocabulary.pieces)
        self._utf8_mask.reset()
        text, bits = beginning, 0.0
        while not _is_complete(text) and not cancelled():
            with refuse_without_memory(), device_faults(self._engine.device):
                is_first = len(ids) == known
                logits = self._engine.prefill(ids) if is_first else self._engine.step(ids[-1])
                logits = logits.cpu() + self._utf8_mask.mask() + self._no_end  # (V,)
            token = sample(logits, ids[known:], self._sampling, random)
            bits -= float(logits.log_softmax(0)[token]) / math.log(2)
            self._utf8_mask.feed(token)
            ids.append(token)
            text += decoder.feed(token)
        return Couplet(text.rstrip("\n"), bits / max(len(text) - len(beginning), 1))


def _is_complete(text: str) -> bool:
    marks = sum(character in MARKS for character in text)
    return marks >= 2 or "\n" in text or len(text) > _MOST_CHARACTERS
