"""How much to try: a few inputs each, or as many as AFTERWORD_TEST_FUZZ says (10000 at full size).

Every test here must leave no descriptor, thread or child behind, and at full size no memory.
"""

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

INPUTS = int(os.environ.get("AFTERWORD_TEST_FUZZ", "60"))
FULL = 5000
LARGEST_GROWTH_MB = 150  # hypothesis itself remembers its inputs: 73 MB of 10,000 token lists

settings.register_profile(
    "afterword",
    max_examples=INPUTS,
    deadline=None,  # the machine may be busy; pytest-timeout finds what hangs
    database=None,
    derandomize=INPUTS < FULL,
    suppress_health_check=list(HealthCheck),
)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("afterword")


@pytest.fixture(autouse=True)
def leaves_nothing_behind(home: Path) -> Iterator[None]:
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
