"""Evaluation: bits per byte of texts under a model (`python -m model.evaluate FILE…`).

Bits per byte compare models of different vocabularies. Documents are separated by lines
`<|endoftext|>`; each is scored from its own start, and its end is not scored.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import click
import torch
import torch.nn.functional as F

from config.standard_streams import prepare_standard_streams
from model.checkpoints.store import find_weights
from model.checkpoints.weights_file import load_weights
from model.command import report_errors
from model.data.corpus import read_documents
from model.device import choose_device
from model.text.vocabulary import Vocabulary
from model.transformer import TransformerConfig


@dataclass(frozen=True)
class Score:
    """The sums of a score over documents.

    Attributes:
        nats: negative log likelihood.
        tokens: number of compact ids.
        size: bytes in UTF-8.
    """

    nats: float
    tokens: int
    size: int

    @property
    def bits_per_byte(self) -> float:
        """Lower is better; random bytes have 8."""
        return self.nats / math.log(2) / self.size

    @property
    def nats_per_token(self) -> float:
        """Depends on the vocabulary: rarer tokens are harder."""
        return self.nats / self.tokens


class Predictor(Protocol):
    """A model that can be scored, such as the Transformer."""

    @property
    def config(self) -> TransformerConfig:
        """Its shape."""

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V) of the token after each of ids (B, T)."""


def score(
    model: Predictor, vocabulary: Vocabulary, documents: Sequence[str], device: torch.device
) -> Score:
    """Score documents, none of them empty, each from its own start."""
    nats, tokens, size = 0.0, 0, 0
    for document in documents:
        ids = torch.tensor([vocabulary.end, *vocabulary.encode(document)], device=device)  # (N,)
        nats += _nats(model, ids)
        tokens += len(ids) - 1
        size += len(document.encode())
    return Score(nats, tokens, size)


@torch.inference_mode()
def _nats(model: Predictor, ids: torch.Tensor) -> float:
    """Negative log likelihood of ids[1:]; ids is (N,).

    Longer texts are scored in windows that overlap by half, so that every id past the first window
    has at least half a context before it.
    """
    context = model.config.context_length
    step = max(1, context // 2)
    total, scored = 0.0, 0
    for begin in range(0, len(ids) - 1, step):
        window = ids[begin : begin + context + 1]  # (T + 1,)
        new = begin + len(window) - 1 - scored
        if new > 0:
            logits = model(window[None, :-1])[0, -new:].float()  # (new, V)
            total += F.cross_entropy(logits, window[-new:], reduction="sum").item()
            scored += new
    return total


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--weights", help="Weights file.  [default: those in use]")
@click.option(
    "--language", default="en", show_default=True, help="Language of the default weights."
)
@click.option(
    "--limit-documents", type=click.IntRange(1), help="Score this many documents of each file."
)
@click.option("--device", default="auto", show_default=True, help="As torch names it: cpu, cuda.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's choice]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file.")
@report_errors
def main(
    files: tuple[Path, ...],
    weights: str | None,
    language: str,
    limit_documents: int | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print bits per byte and nats a token of texts under a model."""
    if threads:
        torch.set_num_threads(threads)
    chosen = choose_device(device)
    path = find_weights(language, weights)
    loaded = load_weights(path)
    for file in files:
        documents = read_documents(file)[:limit_documents]
        result = score(loaded.model.to(chosen), loaded.vocabulary, documents, chosen)
        values = {
            "file": str(file),
            "weights": str(path),
            "documents": len(documents),
            "tokens": result.tokens,
            "bytes": result.size,
            "bits_per_byte": round(result.bits_per_byte, 4),
            "nats_per_token": round(result.nats_per_token, 4),
        }
        if as_json:
            click.echo(json.dumps(values))
        else:
            click.echo(
                f"{file}: {result.bits_per_byte:.4f} bits/byte, {result.nats_per_token:.4f} nats a "
                f"token, {result.tokens} tokens in {len(documents)} documents"
            )


if __name__ == "__main__":
    prepare_standard_streams()
    main()
