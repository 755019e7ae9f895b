"""Weights files: safetensors, which hold no code, with a checksum of their content.

A file holds the tensors in half precision, the kept cl100k_base ids in their merge order
as the tensor `vocabulary` (int32) and, as metadata of text, the format's version, the
configuration, the language, the licence, where the model comes from and a checksum of all this.
"""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from config.errors import OutputError, WeightsError
from model.checkpoints.checksum import checksum
from model.checkpoints.store import LARGEST_CONTEXT, TRAIN_HINT, archive
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

WEIGHTS_FORMAT = 1
KIND = "afterword"
_AGAIN = "install afterword or train them again"


@dataclass(frozen=True)
class Weights:
    """A model ready for use, as read from a file.

    Attributes:
        model: in float32 on the CPU, in evaluation mode.
        vocabulary: of the model's ids.
        language: its code, such as "en".
        licence: of the weights.
        provenance: where the model comes from, in a sentence or two.
        bits_per_byte: on the held-out texts of its training; None if not measured.
        training: name of the training that wrote it; empty if unknown.
    """

    model: Transformer
    vocabulary: Vocabulary
    language: str
    licence: str
    provenance: str
    bits_per_byte: float | None = None
    training: str = ""


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
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as RuntimeError
        raise OutputError(f"{path} cannot be written: {error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def save_weights(path: Path, weights: Weights) -> None:
    """Write a weights file, atomically, in float16.

    Raises:
        OutputError: the file cannot be written.
        WeightsError: a weight is not a finite number in float16.
    """
    tensors = {name: t.detach().cpu().half() for name, t in weights.model.state_dict().items()}
    _refuse_non_finite(tensors, "the model")
    tensors["vocabulary"] = torch.from_numpy(weights.vocabulary.merge_order.astype("int32"))
    metadata = {
        "kind": KIND,
        "format": str(WEIGHTS_FORMAT),
        "config": json.dumps(asdict(weights.model.config)),
        "language": weights.language,
        "licence": weights.licence,
        "provenance": weights.provenance,
        "training": weights.training,
    }
    if weights.bits_per_byte is not None:
        metadata["bits_per_byte"] = f"{weights.bits_per_byte:.4f}"
    data = save(tensors, metadata | {"sha256": checksum([metadata, tensors])})
    write_atomically(path, lambda temporary: _write_bytes(temporary, data))


def publish_weights(path: Path, weights: Weights) -> None:
    """Write a weights file; archive the one it replaces, if another training wrote that.

    Raises:
        As `save_weights`.
    """
    archive(path, weights.training)
    save_weights(path, weights)


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def load_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        WeightsError: the file is missing, damaged, of another program or of a newer version, or its
            tensors do not fit its configuration.
    """
    metadata, tensors = _read_safetensors(path)
    if metadata.get("kind") != KIND:
        raise WeightsError(f"{path} holds no weights of afterword.")
    check_format(metadata.get("format", ""), WEIGHTS_FORMAT, path)
    if metadata.pop("sha256", None) not in (None, checksum([metadata, tensors])):
        raise WeightsError(f"{path} is damaged: its checksum does not fit; {_AGAIN}.")
    config = _read_config(metadata.get("config", ""), path)
    vocabulary = _read_vocabulary(tensors.pop("vocabulary", None), path)
    if vocabulary.size != config.vocabulary_size:
        raise WeightsError(
            f"{path} is damaged: it lists {vocabulary.size} ids for {config.vocabulary_size}."
        )
    _refuse_non_finite(tensors, str(path))
    return Weights(
        model=build_model(config, tensors, path),
        vocabulary=vocabulary,
        language=metadata.get("language", ""),
        licence=metadata.get("licence", ""),
        provenance=metadata.get("provenance", ""),
        bits_per_byte=_read_bits(metadata),
        training=metadata.get("training", ""),
    )


def build_model(config: TransformerConfig, tensors: dict[str, Tensor], path: Path) -> Transformer:
    """A model of this shape with these weights, in float32, in evaluation mode.

    Raises:
        WeightsError: the tensors do not fit the shape; `path` names their origin.
    """
    _refuse_sizes_beyond(config, tensors, path)
    with _SkipInitialisation():
        model = Transformer(config)
    expected = {name: t.shape for name, t in model.state_dict().items()}
    found = {name: t.shape for name, t in tensors.items()}
    if found != expected:
        wrong = next(n for n in {**expected, **found} if expected.get(n) != found.get(n))
        raise WeightsError(f'{path} does not fit its own configuration in the tensor "{wrong}".')
    model.load_state_dict(tensors)  # which makes them float32
    return model.eval()


class _SkipInitialisation(TorchFunctionMode):
    """Skips the random initialisation of parameters that are loaded next.

    Saves 0.2 s, and leaves the caller's random generator where it is.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.normal_, nn.init.kaiming_uniform_):
            return None
        return func(*args, **(kwargs or {}))


def _refuse_sizes_beyond(config: TransformerConfig, tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse a shape larger than the tensors: a damaged number would allocate terabytes."""
    c = config
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
        raise WeightsError(f'{path} does not fit its own configuration in the tensor "{wrong[0]}".')


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {path} is missing; {TRAIN_HINT}.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no complete weights file (safetensors); {_AGAIN}."
        ) from error


def check_format(found: object, known: int, path: Path) -> None:
    """Refuse a format version other than the known one (WeightsError)."""
    try:
        version = int(str(found))
    except ValueError as error:
        raise WeightsError(f"{path} does not tell its format's version.") from error
    if version != known:
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
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise WeightsError(f"{path} is damaged: its configuration cannot be read.") from error


def _read_bits(metadata: dict[str, str]) -> float | None:
    try:
        return float(metadata["bits_per_byte"])
    except (KeyError, ValueError):  # absent from older files
        return None


def _read_vocabulary(kept: Tensor | None, path: Path) -> Vocabulary:
    if kept is None or kept.dtype != torch.int32 or kept.dim() != 1:
        raise WeightsError(f"{path} is damaged: its vocabulary cannot be read.")
    try:
        return Vocabulary(kept.tolist())
    except WeightsError as error:
        raise WeightsError(f"{path} is damaged: {error}") from error


def _refuse_non_finite(tensors: dict[str, Tensor], origin: str) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f'{origin} has numbers that are not finite in the tensor "{name}".')
