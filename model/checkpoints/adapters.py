"""Adapter files: low-rank changes of the matrices of fetched weights, whose file stays as it is.

An adapter (LoRA, Hu et al. 2021) adds up · down · alpha / rank to a matrix. Its file is safetensors
as weights are: the tensors NAME.down (R, M) and NAME.up (N, R) in float16. Its metadata of text are
the format's version, rank, alpha, checksum and name of the weights it belongs to (`base` and
`base_name`), language, licence and provenance, the bits per byte before and after its training, and
a checksum of all this.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from config.errors import OutputError, WeightsError
from model.checkpoints.adapter_store import in_place, new_adapter, prune, put_in_place
from model.checkpoints.blocks import Adapted, Matrix, base_of
from model.checkpoints.checksum import checksum
from model.checkpoints.fetched import find_fetched
from model.checkpoints.in_use import remembering
from model.checkpoints.metadata.scores import Scores, read_scores
from model.checkpoints.store import describe, remedy
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import (
    Weights,
    check_format,
    load_weights,
    read_safetensors,
    refuse_non_finite,
    write_bytes,
)

ADAPTER_FORMAT = 1
KIND = "afterword-adapter"
LARGEST_RANK = 256


@dataclass(frozen=True)
class Adapter:
    """What a training changed of some weights.

    Attributes:
        changes: by the name of a matrix (N, M), down (R, M) and up (N, R).
        rank: R.
        alpha: up · down is multiplied by alpha / rank.
        base: checksum of the content of the weights file that it belongs to.
        base_name: name of these weights, such as "large".
        language: its code, such as "en".
        licence: of the adapter.
        provenance: where the adapter comes from, in a sentence or two.
        bits_before: per byte of the held-out texts, before the training; None if not measured.
        bits_per_byte: after it.
        training: name of the training that wrote it.
        scores: what that training has changed; None if that is not known.
    """

    changes: Mapping[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float
    base: str
    base_name: str
    language: str
    licence: str
    provenance: str
    bits_before: float | None = None
    bits_per_byte: float | None = None
    training: str = ""
    scores: Scores | None = None


def apply(adapter: Adapter, weights: Weights, origin: str) -> Weights:
    """The weights with an adapter beside their matrices, in place of one that they have.

    Raises:
        WeightsError: it belongs to other weights; `origin` names the adapter.
    """
    if not adapter.base or adapter.base != weights.sha256:
        raise _of_other_weights(origin)
    tensors: dict[str, Matrix] = dict(weights.stored.tensors)
    scale = adapter.alpha / adapter.rank
    for name, (down, up) in adapter.changes.items():
        matrix = tensors.get(name)
        wanted = (up.shape[0], down.shape[1])
        if matrix is None or tuple(matrix.shape) != wanted:
            raise WeightsError(f'{origin} does not fit its weights in the tensor "{name}".')
        tensors[name] = Adapted(base_of(matrix), down.float(), up.float() * scale)
    return replace(
        weights,
        stored=StoredModel(weights.stored.config, tensors),
        bits_per_byte=adapter.bits_per_byte,
        scores=adapter.scores,
        provenance=f"{weights.provenance} {adapter.provenance}".strip(),
    )


def _of_other_weights(origin: str) -> WeightsError:
    return WeightsError(
        f"{origin} belongs to other weights than those that are installed; remove it "
        "(`afterword weights remove`) or train another one."
    )


def load_adapted(path: Path) -> Weights:
    """Read a weights file, with the adapter that is in place for it, if there is one.

    Raises:
        WeightsError: a file is damaged, or the adapter belongs to other weights.
    """
    weights, place = load_weights(path), in_place(path)
    if place is None:
        return weights
    return replace(apply(load_adapter(place), weights, str(place)), adapter=place.stem)


def save_adapter(path: Path, adapter: Adapter) -> None:
    """Write an adapter file, atomically, in float16.

    Raises:
        OutputError: the file cannot be written.
        WeightsError: a number is not finite in float16.
    """
    tensors: dict[str, Tensor] = {}
    for name, pair in adapter.changes.items():
        for part, tensor in zip(("down", "up"), pair, strict=True):
            tensors[f"{name}.{part}"] = tensor.detach().cpu().half().contiguous()
    refuse_non_finite(tensors, "the adapter")
    metadata = {
        "kind": KIND,
        "format": str(ADAPTER_FORMAT),
        "rank": str(adapter.rank),
        "alpha": f"{adapter.alpha:g}",
        "base": adapter.base,
        "base_name": adapter.base_name,
        "language": adapter.language,
        "licence": adapter.licence,
        "provenance": adapter.provenance,
        "training": adapter.training,
    }
    measured = {"bits_before": adapter.bits_before, "bits_per_byte": adapter.bits_per_byte}
    metadata |= {name: f"{bits:.4f}" for name, bits in measured.items() if bits is not None}
    metadata |= adapter.scores.to_metadata() if adapter.scores else {}
    write_bytes(path, save(tensors, metadata | {"sha256": checksum([metadata, tensors])}))


def publish_adapter(adapter: Adapter) -> Path:
    """Keep an adapter in the store and put it in place; returns its path.

    Raises:
        OutputError: it cannot be written.
        WeightsError: the weights that it belongs to are not installed, or others of their name.
    """
    weights = find_fetched(adapter.language, adapter.base_name)
    if describe(weights).sha256 != adapter.base:
        raise _of_other_weights("The adapter")
    place = new_adapter(adapter.language, adapter.base_name)
    save_adapter(place, adapter)
    try:
        with remembering(adapter.language):
            put_in_place(adapter.language, adapter.base_name, place.stem)
        prune(adapter.language, adapter.base_name)
    except OSError as error:
        raise OutputError(f"{place} cannot be put in place: {error.strerror}.") from error
    return place


def load_adapter(path: Path) -> Adapter:
    """Read an adapter file.

    Raises:
        WeightsError: the file is missing, damaged, of another program or of a newer version.
    """
    if not path.is_file():
        raise WeightsError(f"The adapter {path} is missing.")
    metadata, tensors = read_safetensors(path)
    if metadata.get("kind") != KIND:
        raise WeightsError(f"{path} holds no adapter of afterword.")
    check_format(metadata.get("format", ""), ADAPTER_FORMAT, path)
    if metadata.pop("sha256", None) != checksum([metadata, tensors]):
        raise WeightsError(f"{path} is damaged: its checksum does not fit; {remedy(path)}.")
    refuse_non_finite(tensors, str(path))
    try:
        rank, alpha = int(metadata["rank"]), float(metadata["alpha"])
        bits = {n: float(metadata[n]) for n in ("bits_before", "bits_per_byte") if n in metadata}
        base, base_name, language = (metadata[n] for n in ("base", "base_name", "language"))
        if not math.isfinite(alpha):
            raise ValueError(metadata["alpha"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path} is damaged: its metadata cannot be read.") from error
    return Adapter(
        _gather(tensors, rank, path),
        rank,
        alpha,
        base,
        base_name,
        language,
        metadata.get("licence", ""),
        metadata.get("provenance", ""),
        bits.get("bits_before"),
        bits.get("bits_per_byte"),
        metadata.get("training", ""),
        read_scores(metadata),
    )


def _gather(
    tensors: Mapping[str, Tensor], rank: int, path: Path
) -> dict[str, tuple[Tensor, Tensor]]:
    """The pairs of tensors by the name of their matrix."""
    changes = {}
    for name in sorted({name.rpartition(".")[0] for name in tensors}):
        down, up = tensors.get(f"{name}.down"), tensors.get(f"{name}.up")
        if (
            down is None
            or up is None
            or down.dim() != 2
            or up.dim() != 2
            or not 1 <= rank <= LARGEST_RANK
            or (len(down), up.shape[1]) != (rank, rank)
        ):
            raise WeightsError(f'{path} is damaged in the tensor "{name}".')
        changes[name] = (down, up)
    if 2 * len(changes) != len(tensors):
        raise WeightsError(f"{path} is damaged: it has tensors of another kind.")
    return changes
