"""Weights files: safetensors, which hold no code, with a checksum of their content.

A file holds the tensors in half precision, the kept cl100k_base ids in their merge order
as the tensor `vocabulary` (int32) and, as metadata of text, the format's version, the
configuration, the language, the licence, where the model comes from and a checksum of all this.

Since format 2 a matrix may be in blocks (model.checkpoints.blocks), the tensors NAME.quants,
NAME.scales and NAME.minima; the other tensors of such a model are in float32. Where several ids
spell a row of the vocabulary, `vocabulary_lengths` (int32) counts them, and the metadata have the
tokenizer's `pattern`. `manner` says how a seed is written for the model, as a JSON object.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from config.errors import OutputError, WeightsError
from model.checkpoints.blocks import BLOCK, Blocks, Matrix, dense
from model.checkpoints.checksum import checksum
from model.checkpoints.in_use import remembering
from model.checkpoints.metadata.scores import Scores, read_scores
from model.checkpoints.store import (
    LARGEST_CONTEXT,
    TRAIN_HINT,
    archive,
    is_of_training,
    own_weights,
    remedy,
)
from model.checkpoints.stored_model import StoredModel
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

WEIGHTS_FORMAT = 2
_OLDER_FORMATS = (1,)
KIND = "afterword"


@dataclass(frozen=True)
class Weights:
    """A model ready for use, as read from a file.

    Attributes:
        stored: shape and tensors.
        vocabulary: of the model's ids.
        language: its code, such as "en".
        licence: of the weights.
        provenance: where the model comes from, in a sentence or two.
        bits_per_byte: on the held-out texts of its training; None if not measured.
        training: name of the training that wrote it; empty if unknown.
        manner: how a seed is written for the model; empty for the spoken form.
        sha256: checksum of the file's content; empty if it has none.
        adapter: name of the adapter in place that they are read with; empty if there is none.
        scores: what the training that made them has changed; None if that is not known.
    """

    stored: StoredModel
    vocabulary: Vocabulary
    language: str
    licence: str
    provenance: str
    bits_per_byte: float | None = None
    training: str = ""
    manner: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    adapter: str = ""
    scores: Scores | None = None

    @cached_property
    def model(self) -> Transformer:
        """The Transformer in float32, in evaluation mode; built when it is first asked for."""
        return self.stored.transformer()


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def save_weights(path: Path, weights: Weights) -> None:
    """Write a weights file, atomically: in float16, and what is in blocks in these.

    Raises:
        OutputError: the file cannot be written.
        WeightsError: a weight is not a finite number in float16.
    """
    tensors = _tensors_to_write(weights.stored)
    refuse_non_finite(tensors, "the model")
    vocabulary = weights.vocabulary
    tensors["vocabulary"] = torch.from_numpy(vocabulary.merge_order.astype("int32"))
    metadata = {
        "kind": KIND,
        "format": str(WEIGHTS_FORMAT),
        "config": json.dumps(asdict(weights.stored.config)),
        "language": weights.language,
        "licence": weights.licence,
        "provenance": weights.provenance,
        "training": weights.training,
    }
    if vocabulary.lengths.size:
        tensors["vocabulary_lengths"] = torch.from_numpy(vocabulary.lengths)
        metadata["pattern"] = vocabulary.pattern
    if weights.manner:
        metadata["manner"] = json.dumps(weights.manner)
    if weights.bits_per_byte is not None:
        metadata["bits_per_byte"] = f"{weights.bits_per_byte:.4f}"
    metadata |= weights.scores.to_metadata() if weights.scores else {}
    data = save(tensors, metadata | {"sha256": checksum([metadata, tensors])})
    write_bytes(path, data)


def _tensors_to_write(stored: StoredModel) -> dict[str, Tensor]:
    dtype = torch.float32 if stored.has_blocks else torch.float16
    tensors: dict[str, Tensor] = {}
    for name, matrix in stored.tensors.items():
        if isinstance(matrix, Blocks):
            parts = {"quants": matrix.quants, "scales": matrix.scales, "minima": matrix.minima}
            tensors |= {f"{name}.{p}": t.contiguous() for p, t in parts.items() if t is not None}
        else:
            tensors[name] = dense(matrix).detach().cpu().to(dtype)
    return tensors


def publish_weights(path: Path, weights: Weights) -> None:
    """Write a weights file; archive the one it replaces, if another training wrote that.

    A training writes one every few minutes.

    Raises:
        As `save_weights`.
    """
    if is_of_training(path, weights.training):
        save_weights(path, weights)
        return
    language = path.stem
    is_own = path == own_weights(language)
    with remembering(language) if is_own else contextlib.nullcontext():
        archive(path)
        save_weights(path, weights)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, atomically.

    Raises:
        OutputError: as `write_atomically`.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    write_atomically(path, write)


def load_weights(path: Path) -> Weights:
    """Read a weights file; its tensors stay mapped into memory until they are converted.

    Raises:
        WeightsError: the file is missing, damaged, of another program or of a newer version, or its
            tensors do not fit its configuration.
    """
    metadata, tensors = read_safetensors(path)
    if metadata.get("kind") != KIND:
        raise WeightsError(f"{path} holds no weights of afterword.")
    check_format(metadata.get("format", ""), WEIGHTS_FORMAT, path, _OLDER_FORMATS)
    found = metadata.pop("sha256", None)
    if found not in (None, checksum([metadata, tensors])):
        raise WeightsError(f"{path} is damaged: its checksum does not fit; {remedy(path)}.")
    config = _read_config(metadata.get("config", ""), path)
    vocabulary = _read_vocabulary(tensors, metadata.get("pattern", ""), path)
    if vocabulary.size != config.vocabulary_size:
        raise WeightsError(
            f"{path} is damaged: it lists {vocabulary.size} ids for {config.vocabulary_size}."
        )
    refuse_non_finite(tensors, str(path))
    return Weights(
        stored=_read_model(config, tensors, path),
        vocabulary=vocabulary,
        language=metadata.get("language", ""),
        licence=metadata.get("licence", ""),
        provenance=metadata.get("provenance", ""),
        bits_per_byte=_read_bits(metadata),
        training=metadata.get("training", ""),
        manner=_read_manner(metadata, path),
        sha256=found or "",
        scores=read_scores(metadata),
    )


def build_model(config: TransformerConfig, tensors: dict[str, Tensor], path: Path) -> Transformer:
    """A model of this shape with these weights, in float32, in evaluation mode.

    Raises:
        WeightsError: the tensors do not fit the shape; `path` names their origin.
    """
    return _read_model(config, tensors, path).transformer()


def _read_model(config: TransformerConfig, tensors: dict[str, Tensor], path: Path) -> StoredModel:
    stored = StoredModel(config, _gather_blocks(tensors, path))
    _refuse_sizes_beyond(stored, path)
    if wrong := stored.misfit():
        raise _does_not_fit(path, wrong)
    return stored


def _gather_blocks(tensors: dict[str, Tensor], path: Path) -> dict[str, Matrix]:
    """The tensors by name, those in blocks put together."""
    parts = ("quants", "scales", "minima")
    stems = {name.rpartition(".")[0] for name in tensors if name.endswith(parts)}
    names = {f"{stem}.{part}" for stem in stems for part in parts}
    matrices: dict[str, Matrix] = {n: t for n, t in tensors.items() if n not in names}
    for stem in sorted(stems):
        quants, scales, minima = (tensors.get(f"{stem}.{part}") for part in parts)
        if stem in matrices or quants is None or scales is None or not _fit(quants, scales, minima):
            raise _does_not_fit(path, stem)
        matrices[stem] = Blocks(quants, scales, minima)
    return matrices


def _fit(quants: Tensor, scales: Tensor, minima: Tensor | None) -> bool:
    """True if these are the parts of a matrix in blocks."""
    columns = BLOCK if minima is None else BLOCK // 2  # of quants in a block
    dtype = torch.int8 if minima is None else torch.uint8
    floats = [scales] if minima is None else [scales, minima]
    return (
        all(t.dtype == torch.float16 and t.shape == scales.shape for t in floats)
        and scales.dim() == 2
        and quants.dtype == dtype
        and quants.shape == (scales.size(0), scales.size(1) * columns)
    )


def _does_not_fit(path: Path, name: str) -> WeightsError:
    return WeightsError(f'{path} does not fit its own configuration in the tensor "{name}".')


def _refuse_sizes_beyond(stored: StoredModel, path: Path) -> None:
    """Refuse a shape larger than the tensors: a damaged number would allocate terabytes."""
    c, tensors = stored.config, stored.tensors
    if c.context_length > LARGEST_CONTEXT:
        raise WeightsError(
            f"{path} is damaged: it wants a context of {c.context_length} tokens, and "
            f"{LARGEST_CONTEXT} is the most."
        )
    shapes = {
        "embedding.weight": (c.vocabulary_size, c.width),
        "blocks.0.mlp.down.weight": (c.width, c.hidden),
    }
    wrong = [n for n, shape in shapes.items() if n not in tensors or tensors[n].shape != shape]
    if c.layers > len(tensors):  # each layer has several
        wrong.append(f"blocks.{c.layers - 1}.mlp.down.weight")
    if wrong:
        raise _does_not_fit(path, wrong[0])


def read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and tensors of a file, of which nothing is checked.

    Raises:
        WeightsError: the file is missing or incomplete.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {path} is missing; {TRAIN_HINT}.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no complete weights file (safetensors); {remedy(path)}."
        ) from error


def check_format(found: object, known: int, path: Path, older: Sequence[int] = ()) -> None:
    """Refuse a format version other than the known and the older ones (WeightsError)."""
    try:
        version = int(str(found))
    except ValueError as error:
        raise WeightsError(f"{path} does not tell its format's version.") from error
    if version != known and version not in older:
        raise WeightsError(
            f"{path} has format {version}, this version of afterword reads {known}; "
            f"{'update afterword' if version > known else 'train it again'}."
        )


def _read_config(text: str, path: Path) -> TransformerConfig:
    """Older files lack what has a default."""
    types = {field.name: field.type for field in fields(TransformerConfig)}
    try:
        values = json.loads(text)
        if any(type(value) is not types[name] for name, value in values.items()):
            raise ValueError(text)
        return TransformerConfig(**values)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged: its configuration cannot be read.") from error


def _read_bits(metadata: dict[str, str]) -> float | None:
    try:
        return float(metadata["bits_per_byte"])
    except (KeyError, ValueError):  # absent from older files
        return None


def _read_manner(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    try:
        manner = json.loads(metadata.get("manner", "{}"))
    except (ValueError, RecursionError):
        manner = None
    if not isinstance(manner, dict):
        raise WeightsError(f"{path} is damaged: its manner cannot be read.")
    return manner


def _read_vocabulary(tensors: dict[str, Tensor], pattern: str, path: Path) -> Vocabulary:
    """The vocabulary, whose tensors are taken out."""
    kept = tensors.pop("vocabulary", None)
    lengths = tensors.pop("vocabulary_lengths", torch.zeros(0, dtype=torch.int32))
    if kept is None or any(t.dtype != torch.int32 or t.dim() != 1 for t in (kept, lengths)):
        raise WeightsError(f"{path} is damaged: its vocabulary cannot be read.")
    try:
        return Vocabulary(kept.tolist(), lengths.tolist(), pattern)
    except WeightsError as error:
        raise WeightsError(f"{path} is damaged: {error}") from error


def refuse_non_finite(tensors: dict[str, Tensor], origin: str) -> None:
    """Refuse tensors of `origin` that hold numbers which are not finite (WeightsError)."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise WeightsError(f'{origin} has numbers that are not finite in the tensor "{name}".')
