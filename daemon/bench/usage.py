"""Processor time and memory of a process and its children, from psutil."""

import importlib.util

from config.errors import MissingPackageError
from config.installation import add_extra_command


def require_psutil() -> None:
    """Check that psutil is installed.

    Raises:
        MissingPackageError: it is not.
    """
    if importlib.util.find_spec("psutil") is None:
        raise MissingPackageError(
            f"The benches of the daemon need psutil; `{add_extra_command('bench')}` brings it."
        )


def processor_seconds(process: int) -> float:
    """User and system time of a process so far."""
    import psutil

    times = psutil.Process(process).cpu_times()
    return times.user + times.system


def resident_mb(process: int) -> tuple[float, ...]:
    """Resident memory, in 2**20 bytes, of a process and of each of its children."""
    import psutil

    parent = psutil.Process(process)
    sizes = [one.memory_info().rss for one in (parent, *parent.children())]
    return tuple(round(size / 2**20, 1) for size in sizes)
