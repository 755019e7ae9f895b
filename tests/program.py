"""Runs the real program, `python -m daemon`, the way a user would: in a process of its own."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def seeds(self) -> list[str]:
        """What the program understood."""
        return re.findall(r"^You: +(.*)$", self.out, re.M)

    @property
    def replies(self) -> list[str]:
        """What the program answered."""
        return re.findall(r"^Afterword: +(.*)$", self.out, re.M)


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "daemon", *map(str, arguments)]


def afterword(
    *arguments: str | Path, before: tuple[str, ...] = (), environment: dict[str, str] | None = None
) -> Outcome:
    """Run to the end; `before` is a command that runs ours, such as unshare."""
    done = subprocess.run(
        [*before, *command(*arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
