"""Runs the real program, `python -m daemon`, in a child process, as a user would."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 120  # until a program counts as hanging, on a busy machine


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def seeds(self) -> list[str]:
        """The seeds that the program printed."""
        return re.findall(r"^You: +(.*)$", self.out, re.M)

    @property
    def replies(self) -> list[str]:
        """The replies that the program printed."""
        return re.findall(r"^Afterword: +(.*)$", self.out, re.M)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def afterword(
    *arguments: str | Path,
    before: tuple[str, ...] = (),
    module: str = "daemon",
    program: str | None = None,
) -> Outcome:
    """Run to the end; `before` is a command that runs Afterword, `program` replaces it."""
    command = [program] if program else [sys.executable, "-m", module]
    done = subprocess.run(
        [*before, *command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
        env=_environment(),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass
class Running:
    """A running program; `log` is its standard error so far."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _seen: int = 0

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> None:
        """Return when the log has this text in a line after the last one waited for."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for number in range(self._seen, len(self.lines)):
                if text in self.lines[number]:
                    self._seen = number + 1
                    return
            if self.process.poll() is not None:
                time.sleep(0.2)
                raise AssertionError(f"ended with {self.process.returncode}: {self.log}")
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in: {self.log}")

    def sentences(self) -> str:
        """The sentences of its replies, from the log at debug level."""
        return " ".join(re.findall(r"sentence: (.*)", self.log))

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)


@contextmanager
def started(*arguments: str, before: tuple[str, ...] = ()) -> Iterator[Running]:
    """Run the program until the end of the block; `before` is a command that runs it."""
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "daemon", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        start_new_session=True,
    )
    running = Running(process)
    reader = threading.Thread(target=running.read, daemon=True)
    reader.start()
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            reader.join(5)
            if reader.is_alive():  # `before` has died without its child, which holds the pipe
                os.killpg(process.pid, signal.SIGKILL)
                reader.join(5)
            assert process.stderr is not None
            process.stderr.close()
