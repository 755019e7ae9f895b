"""Logging to standard error, with syslog priorities where it is connected to the journal."""

import logging
import os
import sys
from collections.abc import Mapping

from audio.native_stderr import let_c_libraries_speak

# Syslog levels, see sd-daemon(3): https://www.freedesktop.org/software/systemd/man/sd-daemon.html
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _JournalFormatter(logging.Formatter):
    """Begins every line with its priority, those of a traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        return with_priority(super().format(record), record.levelno)


def configure(level: str) -> None:
    """Log to standard error from this level on: "debug", "info", "warning" or "error"."""
    handler = logging.StreamHandler(sys.stderr)
    if is_journal(os.environ):
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("afterword: %(message)s"))
    if level == "debug":
        let_c_libraries_speak()
    logging.basicConfig(level=level.upper(), handlers=[handler])


def set_level(level: str) -> None:
    """Change the level of a running program."""
    logging.getLogger().setLevel(level.upper())


def format_error(message: str) -> str:
    """The error message with which a program exits, formatted for standard error."""
    if is_journal(os.environ):
        return with_priority(message, logging.ERROR)
    return f"afterword: {message}"


def with_priority(text: str, level: int) -> str:
    """The text with the priority of a log level before each line."""
    return "\n".join(f"<{_PRIORITIES.get(level, 6)}>{line}" for line in text.splitlines())


def is_journal(environment: Mapping[str, str]) -> bool:
    """True if standard error is the stream that systemd connected to the journal."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
