"""What a foreign file gives to a conversion, whatever its format."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from config.errors import WeightsError
from model.checkpoints.blocks import Matrix
from model.transformer import NORM_EPSILON, TransformerConfig

LAYER_PARTS = ("norm1", "q", "k", "v", "out", "norm2", "gate", "up", "down")
"""Names of a layer's tensors; queries and keys are in the order of model.transformer.rotate."""


@dataclass(frozen=True)
class Tokenizer:
    """A byte-level tokenizer.

    Attributes:
        pieces: the bytes of each token; None for a special one.
        merges: the byte strings that merges make, in their order.
        pattern: the regular expression that cuts text before any merge.
        end: the token that begins and ends a document.
    """

    pieces: Sequence[bytes | None]
    merges: Sequence[bytes]
    pattern: str
    end: int


@dataclass(frozen=True)
class Source:
    """A foreign model.

    Attributes:
        config: its shape, with all its tokens and its whole context.
        tokenizer: of its text.
        tensor: a tensor by the name "embedding", "norm" or "7.q" (LAYER_PARTS), read when called.
        precision: of its matrices, as people name it.
        licence: of its weights, as the file says; empty if it does not.
        name: of the model, as the file says; empty if it does not.
    """

    config: TransformerConfig
    tokenizer: Tokenizer
    tensor: Callable[[str], Matrix]
    precision: str
    licence: str
    name: str


class ConversionError(Exception):
    """A file that cannot be converted; its text is the reason, without the file's name."""


@dataclass(frozen=True)
class TensorNames:
    """What a format calls the tensors of a Llama.

    Attributes:
        layer: a name with places for the number of the layer and the part.
        parts: the format's name of each of LAYER_PARTS.
        embedding: its name.
        norm: that of the last norm.
    """

    layer: str
    parts: Mapping[str, str]
    embedding: str
    norm: str


def find_tensors(
    present: Collection[str], layers: int, known: TensorNames, *, own_head: bool
) -> dict[str, str]:
    """The format's name of each tensor, by ours (`Source.tensor`).

    `present` are the names in the file. `own_head` tells that its head is not the embedding.

    Raises:
        ConversionError: the tensors are not those of our Transformer.
    """
    if layers > len(present):  # each has nine
        raise ConversionError("it lacks tensors of its last layers")
    names = {
        f"{layer}.{part}": known.layer.format(layer, known.parts[part])
        for layer in range(layers)
        for part in LAYER_PARTS
    }
    names |= {"embedding": known.embedding, "norm": known.norm}
    if missing := set(names.values()).difference(present):
        raise ConversionError(f'it lacks the tensor "{min(missing)}"')
    if own_head:
        raise ConversionError(
            "its head is another matrix than its embedding, and here they are one"
        )
    if more := set(present).difference(names.values()):
        raise ConversionError(f'its tensor "{min(more)}" has no place in a plain Llama')
    return names


def make_config(sizes: dict[str, Any], epsilon: object) -> TransformerConfig:
    """The shape of a foreign model, from values of a file.

    Raises:
        ConversionError: the shape or the norms' epsilon is none of ours.
    """
    try:
        for field in fields(TransformerConfig):
            if type(sizes.get(field.name, field.default)) is not field.type:
                raise TypeError(field.name)
        config = TransformerConfig(**sizes)
    except (TypeError, ValueError) as error:
        raise ConversionError("its shape is not that of a Llama") from error
    if not isinstance(epsilon, float) or not math.isclose(epsilon, NORM_EPSILON, rel_tol=1e-3):
        raise ConversionError(
            f"its norms add {epsilon}, and {NORM_EPSILON} is the only known value"
        )
    return config


def refused(path: object, reason: str) -> WeightsError:
    """The error that tells why a file cannot be converted."""
    return WeightsError(f"{path} cannot be converted: {reason}.")
