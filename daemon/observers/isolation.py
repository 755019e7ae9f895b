"""Isolation: a fault is logged without words of the conversation, and ends nothing else."""

import logging
import traceback
from collections.abc import Callable

log = logging.getLogger(__name__)


def succeeds(name: str, act: Callable[[], object]) -> bool:
    """Call `act`; on an error, log it by `log_fault` and return False."""
    try:
        act()
    except Exception as error:
        log_fault(f"{name} failed; all else goes on without it", error)
        return False
    return True


def log_fault(what: str, error: Exception) -> None:
    """Log a programming error in one line: what has failed, the kind of the error and its place.

    Its message, in which there may be words of the conversation, follows with the traceback at
    debug level.
    """
    log.error("%s: %s.", what, _reason(error))
    log.debug("%s", what, exc_info=error)


def _reason(error: Exception) -> str:
    """The system's reason, or the kind of the error and the line of code."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{kind} in {last.filename}, line {last.lineno}"
