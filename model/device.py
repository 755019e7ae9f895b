"""Which processor computes, and in which number format training is fastest on it."""

import statistics
import time

import torch

from config.errors import ConfigError


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


def faster_with_bfloat16(device: torch.device) -> bool:
    """Whether a training-sized matrix product is clearly faster in bfloat16 than in float32.

    Measured, in some 50 ms: processors without instructions for it are several times slower.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(1024, 384, device=device, dtype=dtype)
        b = torch.ones(384, 1024, device=device, dtype=dtype)
        a @ b
        times = []
        for _ in range(7):
            begin = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - begin)
        seconds[dtype] = statistics.median(times)
    return bool(seconds[torch.bfloat16] < 0.8 * seconds[torch.float32])
