"""Memory of training and generation: malloc settings, peak use, and the error when it is short."""

import contextlib
import ctypes
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from config.errors import GenerationError

# torch's messages: an allocation on the CPU, a mapping of a file, an allocation on a GPU; the
# dynamic linker's of a library, and Python's of a thread's stack.
_MESSAGES = (
    "can't allocate memory",
    "Cannot allocate memory",
    "out of memory",
    "failed to map segment",
    "can't start new thread",
)


def keep_freed_memory() -> None:
    """Make malloc keep freed memory for the next step instead of returning it to the system.

    Each step frees and allocates hundreds of megabytes; without this, page faults take a third of
    its time (measured on Linux with glibc). Without mallopt, nothing changes.
    """
    trim_threshold, mmap_max = -1, -4  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)


def return_freed_memory() -> None:
    """Return what is freed to the system: after a conversion, malloc keeps some 80 MB.

    Without malloc_trim (glibc), nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def resident_memory_mb() -> float:
    """Resident memory of this process now, in MB; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 1e6


def available_memory() -> int | None:
    """Bytes that a process can use before the system swaps; None where Linux does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        return None


def peak_memory_mb() -> int:
    """Peak resident memory of this process, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


@contextlib.contextmanager
def refuse_without_memory() -> Iterator[None]:
    """Report a shortage of memory in one sentence.

    Raises:
        GenerationError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_shortage(error):
            raise
        raise GenerationError(
            "There is not enough memory for the model; close other programs, or name smaller "
            "weights (model.weights)."
        ) from error


def is_shortage(error: BaseException) -> bool:
    """True if this error, or one that it was raised from, says that memory is short."""
    if isinstance(error, MemoryError) or any(text in str(error) for text in _MESSAGES):
        return True
    return error.__cause__ is not None and is_shortage(error.__cause__)
