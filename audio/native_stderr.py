"""Keeps messages of C libraries off the terminal, except the last ones before such a library dies.

A library that cannot go on (MKL, Kaldi, PortAudio, an assertion, a C++ exception that nothing
catches) prints why and ends the process at once: no code of the process itself can tell it then.
So a second process, forked at the start, reads what the libraries print, and tells the end of it if
the first one dies. multiprocessing's resource tracker outlives its program in the same way.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Never

LAST_WORDS_SECONDS = 2.0  # older messages are not the reason of the end
LAST_WORDS_BYTES = 2_000
_MUTED = threading.Lock()


def keep_stderr_for_python(report: Callable[[str], object]) -> Callable[[], None]:
    """Withhold all that C libraries print; Python writes to a copy of standard error.

    PortAudio's threads print whenever a sound server dies, which no `with` block can contain. Must
    be called before there are threads.

    Args:
        report: called in the second process with the last messages, if this one is ended by a
            library, or killed soon after a message.

    Returns:
        A function for the regular end of the program, after which nothing is reported.
    """
    sys.stderr.flush()
    copy = os.dup(2)  # child processes do not inherit it
    sys.stderr = os.fdopen(
        copy, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    messages, written = os.pipe()
    end, _kept_open = os.pipe()  # until this process ends
    try:
        watcher = os.fork()
    except OSError:  # no more processes are allowed
        _redirect_to_null(2)
        return lambda: None
    if watcher == 0:
        _watch(messages, end, report)
    os.set_blocking(written, False)  # a library must never wait for the watcher
    os.dup2(written, 2)
    for descriptor in (messages, written, end):
        os.close(descriptor)

    def close() -> None:
        with suppress(OSError):
            os.kill(watcher, signal.SIGKILL)
            os.waitpid(watcher, 0)

    return close


def let_c_libraries_speak() -> None:
    """Undo `keep_stderr_for_python`, for debugging."""
    if sys.stderr.fileno() != 2:
        os.dup2(sys.stderr.fileno(), 2)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard what C libraries, such as ALSA and Kaldi, write to standard error meanwhile.

    Does nothing where `keep_stderr_for_python` withholds it. This affects the whole process, so the
    block must be short. The lock keeps a second thread from taking the muted standard error for the
    real one.
    """
    with _MUTED:
        if _is_withheld():
            yield
        else:
            yield from _muted()


def _is_withheld() -> bool:
    """True if standard error of C libraries and that of Python lead to different places."""
    try:
        return not os.path.sameopenfile(2, sys.stderr.fileno())
    except (OSError, ValueError):  # one of them is closed, or no file
        return False


def _muted() -> Iterator[None]:
    try:
        saved = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        _redirect_to_null(2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _redirect_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _watch(messages: int, end: int, report: Callable[[str], object]) -> Never:
    """The second process: read messages until the first one has died, and report the last ones."""
    try:
        _leave_the_program({messages, end, sys.stderr.fileno()})
        text, age_seconds = _read_until_the_end(messages, end)
        if text.strip() and age_seconds < LAST_WORDS_SECONDS:
            report(text)
            sys.stderr.flush()
    finally:
        os._exit(0)


def _leave_the_program(used: set[int]) -> None:
    """Keep no other file of the program open, and outlive the signals that end it."""
    os.setsid()  # Ctrl-C and Ctrl-Z are for the program
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    for descriptor in range(3):
        _redirect_to_null(descriptor)
    # Not all numbers up to the limit, which is a thousand million in some containers.
    opened = {int(file.name) for file in Path("/proc/self/fd").iterdir()}
    for descriptor in opened - used - {0, 1, 2}:
        with suppress(OSError):  # that of the listing itself
            os.close(descriptor)


def _read_until_the_end(messages: int, end: int) -> tuple[str, float]:
    """The last messages before the program died, and how old they were then, in seconds."""
    kept, seen = b"", 0.0
    sources = [messages, end]
    while True:
        ready = select.select(sources, [], [])[0]
        if messages in ready:  # first: a message and the end may come together
            if read := os.read(messages, 65_536):
                now = time.monotonic()
                if now - seen > LAST_WORDS_SECONDS:
                    kept = b""
                kept, seen = (kept + read)[-LAST_WORDS_BYTES:], now
            else:  # the libraries write elsewhere now
                sources.remove(messages)
        elif end in ready:
            return kept.decode(errors="replace"), time.monotonic() - seen
