"""Converts weights of another program, in a child process that may run out of memory.

torch and the system's out-of-memory killer end a process without an exception; of a child they can
be told apart from other faults. The parent imports nothing heavy.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config import errors
from config.errors import AfterwordError, GenerationError, OutputError
from config.standard_streams import prepare_standard_streams
from model.memory import is_shortage

COMMAND = (sys.executable, "-P", "-m", "daemon.cli.fetching.conversion")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h: the child ends with its parent
_BY_SHORTAGE = frozenset((signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS))


@dataclass(frozen=True)
class Conversion:
    """What is to be converted.

    Attributes:
        source: a GGUF file, or a folder with safetensors.
        target: the weights file to write.
        language: that they speak, such as "en".
        licence: of the weights; empty if unknown.
        provenance: where they come from, in a sentence.
        manner: how a seed is written for them (model.text.manner).
    """

    source: Path
    target: Path
    language: str
    licence: str
    provenance: str
    manner: Mapping[str, Any]


def convert(conversion: Conversion, title: str) -> str:
    """Convert in a child process; returns what the model lost, in a sentence.

    `title` names the weights in an error's sentence.

    Raises:
        OSError: the target cannot be written.
        GenerationError: there was not enough memory.
        AfterwordError: the source cannot be converted.
    """
    done = subprocess.run(
        COMMAND,
        input=json.dumps(asdict(conversion), default=str),
        capture_output=True,
        text=True,
        errors="replace",
    )
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        answer = {}
    if done.returncode == 0 and "loss" in answer:
        return str(answer["loss"])
    raise _error(answer, done, title, conversion.target)


def _error(
    answer: Mapping[str, Any], done: "subprocess.CompletedProcess[str]", title: str, target: Path
) -> Exception:
    """The error of which the child has told, or that its end shows."""
    if number := answer.get("errno"):
        return OSError(number, os.strerror(number), str(target))
    by_glibc = "cannot allocate memory" in done.stderr  # it ends the process itself
    if "shortage" in answer or by_glibc or -done.returncode in _BY_SHORTAGE:
        return GenerationError(
            f"{title} cannot be converted: there is not enough memory; close other programs, or "
            "raise the limit (ulimit -v), and fetch again."
        )
    if kind := answer.get("error"):
        error: AfterwordError = getattr(errors, kind)(answer["message"])
        return error
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return AfterwordError(f"{title} cannot be converted, by a mistake of Afterword: {lines[-1]}.")


def main() -> None:
    """The child: reads a Conversion as JSON from standard input, and answers on standard output."""
    prepare_standard_streams()
    with contextlib.suppress(OSError, AttributeError):  # another C library, another system
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    job = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    result = answer(job)
    os.write(out, f"{json.dumps(result)}\n".encode())
    sys.stderr.flush()
    os._exit(0 if "loss" in result else 1)  # without tearing torch down


def answer(job: dict[str, Any]) -> dict[str, object]:
    """The outcome of a conversion: what was lost, or what kind of error ended it."""
    source = Path(job.pop("source"))
    try:
        from model.convert.convert import convert

        report = convert(source, Path(job.pop("target")), **job)
    except Exception as error:
        if any(map(is_shortage, _with_context(error))):
            return {"shortage": True}
        if isinstance(error, OutputError) and isinstance(error.__cause__, OSError):
            return {"errno": error.__cause__.errno}
        if isinstance(error, OSError):
            message = f"{source} cannot be read: {error.strerror}; check it."
            return {"error": "InputError", "message": message}
        if isinstance(error, AfterwordError):
            return {"error": type(error).__name__, "message": str(error)}
        traceback.print_exc()
        return {}
    return {"loss": report.loss}


def _with_context(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those in whose handling it was raised: closing what is open may fail, too."""
    while error:
        yield error
        error = error.__context__


if __name__ == "__main__":
    main()
