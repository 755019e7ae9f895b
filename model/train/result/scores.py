"""Scores the weights before and after a refresh, on the user's texts and on plain language.

The validations of a training cannot be compared with those of another one: their texts differ.
"""

from collections.abc import Sequence
from importlib import resources
from itertools import accumulate
from pathlib import Path

import torch
from tqdm import tqdm

from model.checkpoints.metadata.scores import Change, Scores
from model.checkpoints.weights_file import Weights
from model.data.corpus import CorpusFile, hold_out, read_documents
from model.evaluate.score import score

STARTER_SEED = 1
"""Of the choice which texts of a starter corpus are held out, by every training."""
_CHARACTERS = 16_000  # of each kind: the large weights take half a minute for them
_SILENT_SECONDS = 1.0  # before a bar is shown


def starter_file(language: str) -> CorpusFile:
    """The starter corpus of a language."""
    file = resources.files("model").joinpath("starter", f"{language}.txt.xz")
    return CorpusFile(Path(str(file)))


def plain_texts(language: str) -> list[str]:
    """Plain language: texts of the starter corpus that no refresh trains on."""
    held_out, _ = hold_out(read_documents(starter_file(language).path), STARTER_SEED)
    return _sample(held_out)


def measure(
    before: Weights, after: Weights, own: Sequence[str], language: str, device: torch.device
) -> Scores:
    """Score the weights before and after a refresh; `own` are the user's texts it held out."""
    kinds = (_sample(own), plain_texts(language))
    both = [[score_texts(weights, texts, device) for texts in kinds] for weights in (before, after)]
    return Scores(*(Change(*bits) for bits in zip(*both, strict=True)))


def _sample(texts: Sequence[str]) -> list[str]:
    """The first texts, up to the one that fills the sample."""
    begins = accumulate(map(len, texts), initial=0)
    return [text for text, begin in zip(texts, begins, strict=False) if begin < _CHARACTERS]


def score_texts(weights: Weights, texts: Sequence[str], device: torch.device) -> float:
    """Bits per byte, to four digits; a bar shows how far it is."""
    model = weights.stored.transformer().to(device)  # not kept: two large ones take 1 GB
    shown = tqdm(texts, "Scoring", leave=False, delay=_SILENT_SECONDS)
    return round(score(model, weights.vocabulary, shown, device).bits_per_byte, 4)
