"""Small models and texts for the tests."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

_WORDS = ["fox", "hen", "bear", "tree", "cake", "boat", "moon", "happy", "old", "red", "ran", "saw"]

NANO_GPT_BEGINNING = """
from dataclasses import dataclass
import torch

@dataclass
class GPTConfig:
    block_size: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float
    bias: bool

class GPT(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
"""
"""The beginning of a stand-in for nanoGPT's model.py; its methods follow."""


def small_model(
    vocabulary_size: int = 300, context: int = 32, seed: int = 1, layers: int = 2, **shape: float
) -> Transformer:
    """A model of two layers with random weights, larger than usual so that logits differ."""
    torch.manual_seed(seed)
    sizes = {"heads": 2, "width": 16, "hidden": 24, **shape}
    model = Transformer(TransformerConfig(vocabulary_size, context, layers, **sizes))
    for weight in model.parameters():
        if weight.dim() == 2:
            nn.init.normal_(weight, std=0.4)
    return model.eval()


def small_weights(language: str = "en", seed: int = 1) -> Weights:
    """Weights for use whose vocabulary is the single bytes and a few words."""
    vocabulary = Vocabulary([7086, 279])  # " named", " the" and what is always kept
    model = small_model(vocabulary.size, seed=seed)
    return Weights(StoredModel.of(model), vocabulary, language, "MIT", "made by a test")


def story_text(documents: int = 60, seed: int = 1) -> str:
    """Documents of simple sentences, parted as corpora are."""
    rng = random.Random(seed)

    def sentence() -> str:
        return "The " + " ".join(rng.choice(_WORDS) for _ in range(rng.randint(4, 8))) + "."

    stories = (" ".join(sentence() for _ in range(rng.randint(5, 12))) for _ in range(documents))
    return "\n<|endoftext|>\n".join(stories)


class ScriptedEngine:
    """An engine whose likeliest ids are those of a script, whatever it is given."""

    device = torch.device("cpu")

    def __init__(self, script: Sequence[int], vocabulary_size: int) -> None:
        self._size = vocabulary_size
        self._script = iter(script)
        self.calls = 0
        self.forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1

    def prefill(self, ids: list[int]) -> Tensor:
        return self.step(ids[-1])

    def step(self, token: int) -> Tensor:
        self.calls += 1
        logits = torch.zeros(self._size)
        logits[next(self._script)] = 100.0
        return logits
