"""Scores that can be compared: a training's before and after, and plain language for all weights.

Bits per byte compare models on the same text only. So a refresh scores the weights that it began
with and those that it made on the same two: the user's held-out texts, and plain language, the
held-out texts of the starter corpus, which are the same for all trainings of a language. Nothing
heavy is imported here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

_KEY = "scores"  # of the metadata


@dataclass(frozen=True)
class Change:
    """Bits per byte of the same texts, before a training and after it; lower is better."""

    before: float
    after: float

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.before:.3f} → {self.after:.3f}"


@dataclass(frozen=True)
class Scores:
    """What a refresh has changed.

    Attributes:
        own: on the user's texts that it has held out.
        plain: on plain language.
    """

    own: Change
    plain: Change

    def to_metadata(self) -> dict[str, str]:
        """The entry for a file's metadata."""
        changes = {"own": self.own, "plain": self.plain}
        return {_KEY: json.dumps({name: [c.before, c.after] for name, c in changes.items()})}


def read_scores(metadata: Mapping[str, str]) -> Scores | None:
    """The scores in a file's metadata; None if there are none, or none that can be read."""
    try:
        pairs = json.loads(metadata[_KEY])
        own, plain = ([float(bits) for bits in pairs[name]] for name in ("own", "plain"))
        if not all(map(math.isfinite, own + plain)):
            return None
        return Scores(Change(*own), Change(*plain))
    except (KeyError, ValueError, TypeError, RecursionError):
        return None


def plain_language(sha256: str) -> float | None:
    """Bits per byte of plain language, of weights that come with Afterword or are fetched.

    `scripts/score-plain-language` measures them.

    Args:
        sha256: checksum of the content of the weights, or of the adapter that they have.
    """
    text = resources.files("model").joinpath("weights", "plain_language.json").read_text("utf-8")
    known: dict[str, float] = json.loads(text)
    return known.get(sha256)
