"""The daemon's memory: settings of glibc's allocator, and a trial where the memory is limited."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from config.errors import AfterwordError, GenerationError

_ARENA_MAX = -8  # malloc.h, M_ARENA_MAX
_MARGIN_BYTES = 256 * 2**20  # a trial gets less, for what it loads without threads and sound
_TRIAL_SECONDS = 60  # Kaldi waits for ever for a thread that got no stack


def trim_heap() -> None:
    """Return freed memory to the system (`malloc_trim`): 30 to 60 MB, in 3 ms."""
    with contextlib.suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL(None).malloc_trim(0)


def use_one_malloc_arena() -> None:
    """Let all threads allocate from one arena; otherwise each arena keeps its freed memory.

    To be called before threads start. The recogniser's short-lived threads would hold 25 MB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def try_within_limit(load: Callable[[], object]) -> None:
    """Load in a child process first, where the address space is limited (`ulimit -v`).

    PyTorch, OpenBLAS, tiktoken and Vosk end the process when they get no memory (std::bad_alloc,
    exit, abort) or hang, which no `except` sees; how a child ends can be told. Without a limit
    nothing is loaded. A fault of settings or files is left for the caller to meet.

    Raises:
        GenerationError: the limit is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    child = os.fork()
    if child == 0:
        _try(load, max(0, limit - _MARGIN_BYTES))
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if status != 0:
        raise GenerationError(
            f"The models cannot be loaded within the limit of {limit >> 20:,} MiB on this "
            "process's memory; raise it (ulimit -v)."
        )


def _try(load: Callable[[], object], limit: int) -> NoReturn:
    """Load within the limit in a forked child; its exit code is 0 unless memory may be short.

    Every other error counts as a shortage: starved libraries raise all kinds.
    """
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(_TRIAL_SECONDS)  # its default is to end the process
        load()
        code = 0
    except AfterwordError as error:
        code = int(isinstance(error, GenerationError))
    finally:
        os._exit(code)
