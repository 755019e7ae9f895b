"""Memory: what the trainer asks of the operating system, and what to say when there is none."""

import contextlib
import ctypes
import resource
import sys
from collections.abc import Iterator

from config.errors import GenerationError

_SHORT = ("can't allocate memory", "out of memory")  # in torch's words, on a CPU and on a GPU


def keep_freed_memory() -> None:
    """Ask the C library to keep freed memory for the next step instead of giving it back.

    Each step frees and takes hundreds of megabytes; without this, new pages cost a third of its
    time (measured on Linux with glibc). Where there is no mallopt, nothing changes.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def peak_memory_mb() -> int:
    """The most memory this process has had at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


@contextlib.contextmanager
def refuse_without_memory() -> Iterator[None]:
    """Tell a shortage of memory in one sentence.

    Raises:
        GenerationError: there was not enough.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(text in str(error) for text in _SHORT):
            raise
        raise GenerationError(
            "There is not enough memory for the model; close other programs, or name smaller "
            "weights (model.weights)."
        ) from error
