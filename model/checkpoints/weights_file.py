"""Files of a model: weights for use (safetensors, no code in them) and the trainer's full state.

A weights file holds the tensors in half precision, the kept cl100k_base ids in their merge order
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
from model.checkpoints.store import TRAIN, keep
from model.text.vocabulary import Vocabulary
from model.transformer import Transformer, TransformerConfig

WEIGHTS_FORMAT = 1
STATE_FORMAT = 1
LARGEST_CONTEXT = 8192
"""More is no sensible model, and keys and values would take gigabytes."""
_KIND = "afterword"
_AGAIN = "install afterword or train them again"
_STATE_KEYS = {"config", "vocabulary", "model", "optimizer", "step", "seconds", "best", "data"}
_STATE_KEYS |= {"corpus", "language"}


@dataclass(frozen=True)
class Weights:
    """A model ready for use, as read from a file.

    Attributes:
        model: in float32 on the CPU, not in training mode.
        vocabulary: what its ids stand for.
        language: "en" or "zh".
        licence: of the weights.
        provenance: where the model comes from, in a sentence or two.
        bits_per_byte: on the held-out texts of its training; None where it was not measured.
        training: the same for all weights that one training has written; empty where unknown.
    """

    model: Transformer
    vocabulary: Vocabulary
    language: str
    licence: str
    provenance: str
    bits_per_byte: float | None = None
    training: str = ""


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place in one step.

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
        "kind": _KIND,
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
    """Write a weights file; what it replaces is kept if it is of another training.

    Raises:
        As `save_weights`.
    """
    keep(path, weights.training)
    save_weights(path, weights)


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def load_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        WeightsError: it is missing, damaged, of another program, newer than this one, or its
            tensors do not fit its configuration.
    """
    metadata, tensors = _read_safetensors(path)
    if metadata.get("kind") != _KIND:
        raise WeightsError(f"{path} holds no weights of afterword.")
    _refuse_newer(metadata.get("format", ""), WEIGHTS_FORMAT, path)
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
    """A model of this shape with these weights, in float32, not in training mode.

    Raises:
        WeightsError: the tensors do not fit the shape; `path` names their origin.
    """
    _refuse_sizes_beyond(config, tensors, path)
    with _Undrawn():
        model = Transformer(config)
    expected = {name: t.shape for name, t in model.state_dict().items()}
    found = {name: t.shape for name, t in tensors.items()}
    if found != expected:
        wrong = next(n for n in {**expected, **found} if expected.get(n) != found.get(n))
        raise WeightsError(f'{path} does not fit its own configuration in the tensor "{wrong}".')
    model.load_state_dict(tensors)  # which makes them float32
    return model.eval()


class _Undrawn(TorchFunctionMode):
    """Within it no random numbers are drawn for new parameters, which are replaced at once (0.2 s).

    Nor are any of the caller's used up.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (nn.init.normal_, nn.init.kaiming_uniform_):
            return None
        return func(*args, **(kwargs or {}))


def _refuse_sizes_beyond(config: TransformerConfig, tensors: dict[str, Tensor], path: Path) -> None:
    """Refuse what would allocate more than the tensors do; a damaged number may mean terabytes."""
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
    if c.layers > len(tensors):  # each has several
        wrong.append(f"blocks.{c.layers - 1}.mlp.down.weight")
    if wrong:
        raise WeightsError(f'{path} does not fit its own configuration in the tensor "{wrong[0]}".')


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {path} is missing; {TRAIN}.") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is no complete weights file (safetensors); {_AGAIN}."
        ) from error


def _refuse_newer(found: object, known: int, path: Path) -> None:
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
    names = {field.name for field in fields(TransformerConfig)}
    try:
        values = json.loads(text)
        if values.keys() != names or not all(type(value) is int for value in values.values()):
            raise ValueError(text)
        return TransformerConfig(**values)
    except (ValueError, AttributeError) as error:
        raise WeightsError(f"{path} is damaged: its configuration cannot be read.") from error


def _read_bits(metadata: dict[str, str]) -> float | None:
    try:
        return float(metadata["bits_per_byte"])
    except (KeyError, ValueError):  # older files do not tell
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


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the trainer's state (tensors, numbers, text, lists and dicts), atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    content = {"kind": _KIND, "format": STATE_FORMAT, **state}
    content["sha256"] = checksum(content)
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def load_state(path: Path) -> dict[str, Any]:
    """Read a trainer's state; code in the file is refused, not run.

    Raises:
        WeightsError: it is missing, damaged, of another program or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"There is nothing to resume: {path} is missing.") from error
    except Exception as error:  # torch's unpickler fails in many ways, IndexError among them
        raise WeightsError(f"{path} is no complete trainer state; begin anew.") from error
    if not isinstance(state, dict) or state.get("kind") != _KIND:
        raise WeightsError(f"{path} is no trainer state of afterword.")
    _refuse_newer(state.get("format"), STATE_FORMAT, path)
    if state.pop("sha256", None) not in (None, checksum(state)):
        raise WeightsError(f"{path} is damaged: its checksum does not fit; begin anew.")
    if missing := _STATE_KEYS - state.keys():
        raise WeightsError(f'{path} is damaged: it lacks "{min(missing)}"; begin anew.')
    return state
