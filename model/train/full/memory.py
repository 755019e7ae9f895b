"""Memory that a training of all parameters of fetched weights needs, and whether it is there."""

import math

import torch

from config.errors import GenerationError, RefusedError
from model.checkpoints.stored_model import shapes
from model.device import choose_device
from model.memory import available_memory
from model.transformer import TransformerConfig

_BYTES_PER_PARAMETER = 16  # of float32: weights, gradients, and AdamW's two moments
_RUNTIME_BYTES = 600_000_000  # torch with its kernels
_LOGITS = 3  # times: themselves, their logarithms and their gradients


def needed_bytes(config: TransformerConfig, sequences: int) -> int:
    """An estimate of the bytes that a training of all parameters needs.

    Args:
        config: the shape of the model; its context is that of the training.
        sequences: in a batch.
    """
    c = config
    parameters = sum(map(math.prod, shapes(c).values()))
    layer = 16 * c.width + 5 * c.hidden + c.heads * c.context_length  # kept for the backward pass
    token = 4 * (c.layers * layer + _LOGITS * c.vocabulary_size)
    tokens = sequences * c.context_length
    return _RUNTIME_BYTES + _BYTES_PER_PARAMETER * parameters + tokens * token


def require_memory(config: TransformerConfig, sequences: int, device: str) -> str:
    """Refuse a training of all parameters where it cannot be done; returns what it needs.

    Args:
        config: the shape of the model; its context is that of the training.
        sequences: in a batch.
        device: as the user names it; "auto" wants a GPU.

    Raises:
        RefusedError: there is no GPU, and the CPU was not asked for.
        GenerationError: memory is short.
        ConfigError: there is no such device.
    """
    chosen = choose_device(device)
    millions = f"{sum(map(math.prod, shapes(config).values())) / 1e6:.1f} million parameters"
    if chosen.type == "cpu" and device == "auto":
        raise RefusedError(
            f"There is no GPU here, and a CPU trains all {millions} too slowly; leave out --full "
            "to train an adapter, or add --device cpu."
        )
    needed, free = needed_bytes(config, sequences), _free_bytes(chosen)
    need = f"Training all {millions} needs some {needed / 1e9:.1f} GB of memory"
    if free is not None and free < needed:
        raise GenerationError(
            f"{need}, and {free / 1e9:.1f} GB are free ({chosen}); close other programs, or leave "
            "out --full to train an adapter."
        )
    return f"{need} ({chosen})."


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_memory() if device.type == "cpu" else None
