"""The device that computes the model, its faults, and the fastest number format for training."""

import contextlib
import statistics
import time
from collections.abc import Iterator

import torch

from config.errors import ConfigError, DeviceError

_TIMED_PRODUCTS = 7
_BFLOAT16_GAIN = 0.8  # bfloat16 must take less than this part of float32's time


def choose_device(name: str) -> torch.device:
    """Turn "auto" into the GPU where there is one and else the CPU; other names are torch's.

    Raises:
        ConfigError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f'The device "{name}" (model.device) is not available here; use "auto" or "cpu".'
        ) from error
    if device.type == "meta":  # torch's placeholder, which computes nothing
        raise ConfigError(
            f'The device "{name}" (model.device) computes nothing; use "auto" or "cpu".'
        )
    return device


@contextlib.contextmanager
def device_faults(device: torch.device) -> Iterator[None]:
    """Report a fault of a GPU in one sentence; on the CPU every error passes unchanged.

    torch raises RuntimeError for all faults of a driver, kernel or library of a GPU; its
    AcceleratorError and OutOfMemoryError are subclasses. Kernels run asynchronously: most faults
    are raised only where a result is copied to the CPU, which must be inside this context.

    Raises:
        DeviceError: the GPU failed, or its memory is full.
    """
    try:
        yield
    except RuntimeError as error:
        if device.type == "cpu":
            raise
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DeviceError(
            f'The model\'s device "{device}" failed ({reason}); model.device "cpu" does without it.'
        ) from error


def faster_with_bfloat16(device: torch.device) -> bool:
    """True if a training-sized matrix product is clearly faster in bfloat16 than in float32.

    Measured, in some 50 ms: processors without bfloat16 instructions are several times slower.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(1024, 384, device=device, dtype=dtype)
        b = torch.ones(384, 1024, device=device, dtype=dtype)
        a @ b  # warm-up
        times = []
        for _ in range(_TIMED_PRODUCTS):
            begin = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - begin)
        seconds[dtype] = statistics.median(times)
    return bool(seconds[torch.bfloat16] < _BFLOAT16_GAIN * seconds[torch.float32])
