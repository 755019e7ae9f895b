"""Log lines on standard error; with priorities where the journal reads them."""

import logging
import os
import sys
from collections.abc import Mapping

from audio.native_stderr import let_c_libraries_speak

# What syslog calls them: https://www.freedesktop.org/software/systemd/man/sd-daemon.html
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


class _JournalFormatter(logging.Formatter):
    """Every line begins with its priority, those of a traceback, too."""

    def format(self, record: logging.LogRecord) -> str:
        return for_journal(super().format(record), record.levelno)


def set_up(level: str) -> None:
    """Log from this level on: "debug", "info", "warning" or "error"."""
    handler = logging.StreamHandler(sys.stderr)
    if goes_to_journal(os.environ):
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("afterword: %(message)s"))
    if level == "debug":
        let_c_libraries_speak()
    logging.basicConfig(level=level.upper(), handlers=[handler])


def set_level(level: str) -> None:
    """Log from this level on, from now on."""
    logging.getLogger().setLevel(level.upper())


def last_words(message: str) -> str:
    """The one sentence with which we end, as standard error wants it."""
    if goes_to_journal(os.environ):
        return for_journal(message, logging.ERROR)
    return f"afterword: {message}"


def for_journal(text: str, level: int) -> str:
    """The text with the priority of a log level before each line."""
    return "\n".join(f"<{_PRIORITIES.get(level, 6)}>{line}" for line in text.splitlines())


def goes_to_journal(environment: Mapping[str, str]) -> bool:
    """Whether standard error is the very stream that systemd connected to the journal."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
