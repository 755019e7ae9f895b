"""Processor time and memory of a process and its children, from psutil."""

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import MissingPackageError
from config.installation import add_extra_command

if TYPE_CHECKING:
    import psutil


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
    """User and system time, so far, of a process and its child processes that run."""
    return sum(times.user + times.system for times in (one.cpu_times() for one in _family(process)))


def resident_mb(process: int) -> tuple[float, ...]:
    """Resident memory, in 2**20 bytes, of a process and of each of its child processes."""
    return tuple(round(one.memory_info().rss / 2**20, 1) for one in _family(process))


def peak_mb(process: int) -> float:
    """The most memory that a process ever had resident, in 2**20 bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB", status, re.M)
    return round(int(kilobytes) / 2**10, 1)


def _family(process: int) -> list["psutil.Process"]:
    """A process, its child processes and theirs."""
    import psutil

    parent = psutil.Process(process)
    return [parent, *parent.children(recursive=True)]
