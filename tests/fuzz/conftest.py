"""Settings of the fuzz tests: 60 inputs each, or AFTERWORD_TEST_FUZZ (10000 at full size).

A test fails if it leaves descriptors or threads behind, at full size also if memory grows.
"""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

INPUTS = int(os.environ.get("AFTERWORD_TEST_FUZZ", "60"))
FULL = 5000  # inputs from which on memory counts, and inputs are random
LARGEST_GROWTH_MB = 150  # hypothesis itself keeps its inputs: 73 MB of 10,000 token lists

settings.register_profile(
    "afterword",
    max_examples=INPUTS,
    deadline=None,  # the machine may be busy; pytest-timeout ends a test that hangs
    database=None,
    derandomize=INPUTS < FULL,
    suppress_health_check=list(HealthCheck),
)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("afterword")


@pytest.fixture(autouse=True)
def no_leaks(home: Path) -> Iterator[None]:
    before = _held()
    yield
    gc.collect()
    held = _held()
    assert held[:2] == before[:2], "descriptors or threads were left"
    if INPUTS >= FULL:
        assert held[2] - before[2] < LARGEST_GROWTH_MB, "memory was left"


def _held() -> tuple[int, int, float]:
    """Open descriptors, threads, resident megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), megabytes
